"""Who may do what: roles of people, rights, scopes of tokens, and the client identity of a person.

Roles of parties on a call are `domain.call.Role`; these are of people who sign in. Pages check rights, never
roles, so that every rule is in this module.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

LONGEST_NAME: Final = 100
"""Characters of a person's name."""
LONGEST_IDENTITY: Final = 100
"""The carrier allows 121 characters; the rest is for a number that makes equal identities unique."""


class UserRole(StrEnum):
    """`AGENT` sees their own calls, `SUPERVISOR` all of them; `ADMINISTRATOR` also manages accounts and sees the settings."""

    AGENT = "agent"
    SUPERVISOR = "supervisor"
    ADMINISTRATOR = "administrator"


class Right(StrEnum):
    """One thing that a person may do."""

    READ_CALLS = "calls:read"
    READ_ALL_CALLS = "calls:read_all"
    WRITE_CALLS = "calls:write"
    PLACE_CALLS = "calls:place"
    EDIT_ALL_NOTES = "notes:edit_all"
    REVIEW_CALLS = "calls:review"
    LISTEN_LIVE = "calls:listen"
    HOLD_CALLS = "calls:hold"
    SWAP_ROLES = "calls:swap_roles"
    REDACT_CALLS = "calls:redact"
    READ_ORIGINALS = "calls:read_originals"
    ERASE_CALLS = "calls:erase"
    WRITE_TECHNICIANS = "technicians:write"
    WRITE_LABELS = "labels:write"
    WRITE_RULES = "phrase_rules:write"
    WRITE_SCORECARDS = "scorecards:write"
    WRITE_PEOPLE = "people:write"
    READ_SETTINGS = "settings:read"
    WRITE_POLICY = "policy:write"
    WRITE_TOKENS = "tokens:write"
    READ_ACCESSES = "calls:accesses"
    READ_AUDIT = "audit:read"
    WRITE_WEBHOOKS = "webhooks:write"


class SecondFactor(StrEnum):
    """Whether local accounts have a second factor. `REQUIRED`: those of supervisors and administrators must."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"

    def required_of(self, role: UserRole) -> bool:
        return self is SecondFactor.REQUIRED and role is not UserRole.AGENT


class Scope(StrEnum):
    """The purpose of a token. A token never grants more than its owner's role."""

    READ_CALLS = "calls:read"
    READ_ORIGINALS = "calls:read_originals"
    WRITE_CALLS = "calls:write"
    ERASE_CALLS = "calls:erase"
    WRITE_PEOPLE = "people:write"
    READ_AUDIT = "audit:read"
    WRITE_WEBHOOKS = "webhooks:write"


_AGENT = frozenset({Right.READ_CALLS, Right.WRITE_CALLS, Right.PLACE_CALLS, Right.WRITE_TOKENS})
_SUPERVISOR = _AGENT | {
    Right.READ_ALL_CALLS, Right.EDIT_ALL_NOTES, Right.HOLD_CALLS, Right.SWAP_ROLES, Right.WRITE_TECHNICIANS,
    Right.WRITE_LABELS,
    Right.READ_ACCESSES, Right.REDACT_CALLS, Right.READ_ORIGINALS, Right.WRITE_RULES, Right.REVIEW_CALLS,
    Right.WRITE_SCORECARDS, Right.LISTEN_LIVE,
}  # fmt: skip

RIGHTS: Final[Mapping[UserRole, frozenset[Right]]] = {
    UserRole.AGENT: _AGENT,
    UserRole.SUPERVISOR: _SUPERVISOR,
    UserRole.ADMINISTRATOR: _SUPERVISOR
    | {
        Right.ERASE_CALLS,
        Right.WRITE_PEOPLE,
        Right.READ_SETTINGS,
        Right.WRITE_POLICY,
        Right.READ_AUDIT,
        Right.WRITE_WEBHOOKS,
    },
}

_OF_SCOPE: Final[Mapping[Scope, frozenset[Right]]] = {
    Scope.READ_CALLS: frozenset({Right.READ_CALLS, Right.READ_ALL_CALLS, Right.READ_ACCESSES}),
    Scope.READ_ORIGINALS: frozenset({Right.READ_ORIGINALS}),
    Scope.WRITE_CALLS: frozenset(
        {
            Right.WRITE_CALLS,
            Right.EDIT_ALL_NOTES,
            Right.SWAP_ROLES,
            Right.REDACT_CALLS,
            Right.WRITE_TECHNICIANS,
            Right.REVIEW_CALLS,
            Right.WRITE_LABELS,
            Right.WRITE_RULES,
            Right.WRITE_SCORECARDS,
        }
    ),
    Scope.ERASE_CALLS: frozenset({Right.HOLD_CALLS, Right.ERASE_CALLS}),
    Scope.WRITE_PEOPLE: frozenset({Right.WRITE_PEOPLE}),
    Scope.READ_AUDIT: frozenset({Right.READ_AUDIT}),
    Scope.WRITE_WEBHOOKS: frozenset({Right.WRITE_WEBHOOKS}),
}


def rights_of(role: UserRole, scopes: Iterable[Scope] | None = None) -> frozenset[Right]:
    """What a person of `role` may do, by session (`scopes` None) or by a token of these scopes.

    A token with read access sees the calls that its owner sees; one that only writes sees none.
    """
    if scopes is None:
        return RIGHTS[role]
    allowed = frozenset[Right]().union(*(_OF_SCOPE[scope] for scope in scopes))
    # A token decides whether calls may be changed; whose calls depends on its owner's role.
    of_calls = allowed & {Right.READ_CALLS, Right.WRITE_CALLS, Right.ERASE_CALLS}
    reach = RIGHTS[role] & {Right.READ_ALL_CALLS} if of_calls else set()
    return (RIGHTS[role] & allowed) | reach


def identity_of(name: str) -> str:
    """The client identity for a person's name: what the carrier allows of it, letters, digits and underscores.

    Two names may give the same identity; `store/people/users` makes it unique.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    identity = re.sub(r"[^A-Za-z0-9_]+", "_", plain.strip())[:LONGEST_IDENTITY]
    return identity if identity.strip("_") else "person"
