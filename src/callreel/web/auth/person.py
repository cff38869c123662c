"""Who makes a request, and what they may do. The gate stores it in the request's state; routes and pages read it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

from fastapi import Request

from callreel.domain.access import RIGHTS, Right, Scope, UserRole, rights_of
from callreel.store.people.users import UserRow


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who signed in, or whose token came with the request. `id` is None for the demo administrator.

    `must_enrol`: the role requires a second factor, which this person has not set up; they have no rights until then.
    `local`: with a password here, not at a provider.
    """

    id: int | None
    name: str
    role: UserRole
    identity: str
    rights: frozenset[Right]
    by_token: bool = False
    must_enrol: bool = False
    local: bool = True

    def may(self, right: Right) -> bool:
        return right in self.rights

    @property
    def own(self) -> str | None:
        """The identity whose calls are the only ones that this person sees; None for a person who sees all calls."""
        return None if self.may(Right.READ_ALL_CALLS) else self.identity


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request came with: the hash of a session's token, or of an API token."""

    token_hash: str
    is_session: bool


def of_user(user: UserRow, scopes: tuple[Scope, ...] | None = None, *, must_enrol: bool = False) -> Person:
    """A user by session, or with `scopes` by token."""
    rights = frozenset[Right]() if must_enrol else rights_of(user.role, scopes)
    by_token = scopes is not None
    local = user.subject is None
    return Person(user.id, user.name, user.role, user.identity, rights, by_token, must_enrol, local)


def demo_person(identity: str) -> Person:
    """The person behind every request of a demo without sign-in. Incoming calls ring the client `identity`."""
    rights = RIGHTS[UserRole.ADMINISTRATOR] - {Right.WRITE_TOKENS}
    return Person(None, "demo", UserRole.ADMINISTRATOR, identity, rights)


def person_of(request: Request) -> Person:
    """Who makes this request; the gate has refused requests without one."""
    return cast(Person, request.state.person)


SessionCheck = Callable[[], Awaitable[bool]]


def session_check(request: Request) -> SessionCheck:
    """A check, for long responses, whether this person is still signed in with the same rights."""
    return cast(SessionCheck, request.state.session_check)
