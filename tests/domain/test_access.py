"""Rights of roles and tokens, and identities."""

import re

from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.access import RIGHTS, Right, Scope, UserRole, identity_of, rights_of


def test_each_role_has_the_rights_of_the_one_below() -> None:
    assert RIGHTS[UserRole.AGENT] < RIGHTS[UserRole.SUPERVISOR] < RIGHTS[UserRole.ADMINISTRATOR]
    assert RIGHTS[UserRole.ADMINISTRATOR] == set(Right)


@given(st.sampled_from(list(UserRole)), st.sets(st.sampled_from(list(Scope))))
def test_a_token_never_allows_more_than_its_owner_may(role: UserRole, scopes: set[Scope]) -> None:
    rights = rights_of(role, scopes)
    assert rights <= RIGHTS[role]
    assert not rights & {Right.PLACE_CALLS, Right.WRITE_TOKENS}
    assert (Right.WRITE_CALLS in rights) == (Scope.WRITE_CALLS in scopes)
    assert (Right.READ_CALLS in rights) == (Scope.READ_CALLS in scopes)


@given(st.text(max_size=200))
def test_every_identity_is_valid_for_the_carrier(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_]{1,100}", identity_of(name))
