"""Who makes a request, and what they may do. Put into the request's state by the gate, read by routes and pages."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

from fastapi import Request

from callreel.domain.access import RIGHTS, Right, Scope, UserRole, rights_of
from callreel.store.people.users import UserRow


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who signed in, or whose token came with the request. `id` is None for the demo's administrator."""

    id: int | None
    name: str
    role: UserRole
    identity: str
    rights: frozenset[Right]
    by_token: bool = False

    def may(self, right: Right) -> bool:
        return right in self.rights

    @property
    def own(self) -> str | None:
        """The identity whose calls are all that this person sees; None for who sees every call."""
        return None if self.may(Right.READ_ALL_CALLS) else self.identity


def of_user(user: UserRow, scopes: tuple[Scope, ...] | None = None) -> Person:
    """A user by session, or with `scopes` by token."""
    rights = rights_of(user.role, scopes)
    return Person(user.id, user.name, user.role, user.identity, rights, by_token=scopes is not None)


def demo_person(identity: str) -> Person:
    """Everybody in demo mode, where nobody signs in. `identity` is the client that incoming calls ring."""
    rights = RIGHTS[UserRole.ADMINISTRATOR] - {Right.WRITE_TOKENS}
    return Person(None, "demo", UserRole.ADMINISTRATOR, identity, rights)


def person_of(request: Request) -> Person:
    """Who makes this request; the gate let nobody else in."""
    return cast(Person, request.state.person)


StillIn = Callable[[], Awaitable[bool]]


def still_in(request: Request) -> StillIn:
    """Tells at any later time whether this person is still in, with the same rights: for answers that last."""
    return cast(StillIn, request.state.is_still)
