"""The table of rights that each route requires; the gate reads it before routing. Pure.

Deny by default: an address that is not in the table is 404 for everybody. A route with a call's id in its path is
only open to people who may see that call; the gate checks that too. Routes under `/twilio/` check the carrier's
signature and are not in the table.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from starlette.routing import compile_path

from callreel.domain.access import Right


@dataclass(frozen=True, slots=True)
class Rule:
    """`needs` None: any signed-in person. `open`: no sign-in needed. `session`: API tokens are refused."""

    methods: frozenset[str]
    path: str
    needs: Right | None = None
    open: bool = False
    session: bool = False
    pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", compile_path(self.path)[0])


def _rule(
    methods: str, path: str, needs: Right | None = None, *, open: bool = False, session: bool = False
) -> Rule:
    named = frozenset(methods.split())
    return Rule(named | {"HEAD"} if "GET" in named else named, path, needs, open, session)


_READ, _WRITE, _PEOPLE = Right.READ_CALLS, Right.WRITE_CALLS, Right.WRITE_PEOPLE
_HOLD, _ERASE = Right.HOLD_CALLS, Right.ERASE_CALLS

RULES: Final[Sequence[Rule]] = (
    _rule("GET", "/health", open=True),
    _rule("GET", "/health/live", open=True),
    _rule("GET", "/health/ready", open=True),
    _rule("GET", "/static/{path:path}", open=True),
    _rule("GET POST", "/sign-in", open=True),
    _rule("GET POST", "/welcome", open=True),
    _rule("POST", "/sign-out", session=True),
    # Pages
    _rule("GET", "/", _READ),
    _rule("GET", "/calls/{call_id}", _READ),
    _rule("GET POST", "/calls/{call_id}/erase", _ERASE, session=True),
    _rule("POST", "/calls/{call_id}/hold", _HOLD, session=True),
    _rule("POST", "/calls/{call_id}/release", _HOLD, session=True),
    _rule("GET", "/erasures", _HOLD, session=True),
    _rule("GET", "/statistics", _READ),
    _rule("GET", "/technicians", Right.WRITE_TECHNICIANS),
    _rule("GET", "/people", _PEOPLE),
    _rule("GET", "/settings", Right.READ_SETTINGS),
    _rule("GET", "/me"),
    _rule("GET", "/docs"),
    _rule("GET", "/openapi.json"),
    # Calls
    _rule("GET", "/events", _READ),
    _rule("GET", "/calls/{call_id}/events", _READ),
    _rule("GET", "/calls/{call_id}/layers/{name}.wav", _READ),
    _rule("GET", "/calls/{call_id}/transcript.{ending}", _READ),
    _rule("GET", "/api/calls", _READ),
    _rule("GET", "/api/calls/{call_id}", _READ),
    _rule("GET", "/api/calls/{call_id}/peaks", _READ),
    _rule("GET", "/api/calls/{call_id}/difference", _READ),
    _rule("POST", "/api/calls/{call_id}/notes", _WRITE),
    _rule("PATCH DELETE", "/api/calls/{call_id}/notes/{note_id}", _WRITE),
    _rule("GET", "/api/calls/{call_id}/revisions", _READ),
    _rule("POST", "/api/calls/{call_id}/revisions", _WRITE),
    _rule("PUT", "/api/calls/{call_id}/language", _WRITE),
    _rule("DELETE", "/api/calls/{call_id}", _ERASE),
    _rule("GET", "/api/calls/{call_id}/erasure", _ERASE),
    _rule("GET", "/api/erasures", _ERASE),
    _rule("GET PUT DELETE", "/api/calls/{call_id}/hold", _HOLD),
    _rule("GET", "/api/holds", _HOLD),
    _rule("GET", "/api/statistics", _READ),
    # People
    _rule("GET", "/api/people/me"),
    _rule("POST", "/api/people/me/password", session=True),
    _rule("POST", "/api/people/me/sign-out-everywhere", session=True),
    _rule("GET POST", "/api/people", _PEOPLE),
    _rule("PATCH", "/api/people/{person_id}", _PEOPLE),
    _rule("GET POST", "/api/tokens", Right.WRITE_TOKENS, session=True),
    _rule("DELETE", "/api/tokens/{token_id}", Right.WRITE_TOKENS, session=True),
    # Operations
    _rule("GET", "/operations", Right.READ_ALL_CALLS),
    _rule("POST", "/operations/retry", Right.EDIT_ALL_NOTES, session=True),
    _rule("POST", "/operations/recordings/{sid}/retry", Right.EDIT_ALL_NOTES, session=True),
    _rule("POST", "/operations/recordings/{sid}/skip", Right.EDIT_ALL_NOTES, session=True),
    _rule("GET", "/metrics", Right.READ_ALL_CALLS),
    # Placing calls
    _rule("GET", "/api/softphone", Right.PLACE_CALLS),
    _rule("POST", "/api/softphone/token", Right.PLACE_CALLS, session=True),
    _rule("POST", "/api/numbers"),
    _rule("GET", "/api/technicians", _READ),
    _rule("POST", "/api/technicians", Right.WRITE_TECHNICIANS),
    _rule("PATCH DELETE", "/api/technicians/{technician_id}", Right.WRITE_TECHNICIANS),
    # Engines
    _rule("GET", "/api/engines", Right.READ_ALL_CALLS),
    _rule("GET", "/api/vocabulary", _READ),
    _rule("PUT", "/api/vocabulary", Right.WRITE_TECHNICIANS),
)


@dataclass(frozen=True, slots=True)
class Found:
    """The rule of a request and the values of its path. `rule` None: the path is in the table, its method is not."""

    rule: Rule | None
    values: Mapping[str, str]


def find(method: str, path: str) -> Found | None:
    """The rule of a request; None when no rule has this path."""
    other_method: Found | None = None
    for rule in RULES:
        match = rule.pattern.match(path)
        if match is None:
            continue
        if method in rule.methods:
            return Found(rule, match.groupdict())
        other_method = other_method or Found(None, match.groupdict())
    return other_method
