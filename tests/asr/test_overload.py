import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.asr.overload import Backlog, Overload, OverloadLevel

NONE, COALESCED, NO_PARTIALS, CHEAPER, SPILLING = OverloadLevel


@pytest.mark.parametrize(
    ("backlog", "level"),
    [
        (Backlog(), NONE),
        (Backlog(finals=2, of_one_call=2, oldest_s=9), NONE),
        (Backlog(finals=3, of_one_call=1), NO_PARTIALS),
        (Backlog(finals=3, of_one_call=3), NO_PARTIALS),
        (Backlog(finals=1, of_one_call=1, oldest_s=10.5), CHEAPER),
        (Backlog(finals=1, of_one_call=1, oldest_s=60.5), SPILLING),
        (Backlog(finals=40, of_one_call=40, oldest_s=5, audio_ms=600_001), SPILLING),
    ],
)
def test_levels_are_reached_at_once(backlog: Backlog, level: OverloadLevel) -> None:
    overload = Overload(workers=2)
    assert overload.look(backlog, 100.0) is level
    assert overload.level is level


def test_a_partial_that_was_given_up_is_seen_for_some_seconds() -> None:
    overload = Overload(workers=1)
    overload.shed(10.0)
    assert [overload.look(Backlog(), at_s) for at_s in (10.0, 14.9, 15.1)] == [COALESCED, COALESCED, NONE]


def test_growing_backlog_passes_all_levels_and_falls_late() -> None:
    overload, seen = Overload(workers=1), []
    up = [(0, 0), (2, 1), (5, 11), (30, 61)]
    down = [(30, 45), (20, 25), (9, 8), (4, 4), (1, 1), (0, 0)]
    for at_s, (finals, oldest_s) in enumerate([*up, *down]):
        seen.append(overload.look(Backlog(finals, finals, oldest_s, 10_000 * finals), at_s))
    assert seen == [
        NONE,
        NO_PARTIALS,
        CHEAPER,
        SPILLING,
        SPILLING,
        CHEAPER,
        CHEAPER,
        NO_PARTIALS,
        NO_PARTIALS,
        NONE,
    ]


BACKLOGS = st.builds(
    Backlog, st.integers(0, 50), st.integers(0, 50), st.floats(0, 200), st.integers(0, 2_000_000)
)


@given(st.lists(BACKLOGS, max_size=20))
def test_level_is_never_below_what_the_backlog_requires(backlogs: list[Backlog]) -> None:
    overload = Overload(workers=2)
    for at_s, backlog in enumerate(backlogs):
        assert overload.look(backlog, at_s) >= Overload(workers=2).look(backlog, at_s)


@given(st.lists(BACKLOGS, max_size=20))
def test_without_a_backlog_nothing_is_given_up(backlogs: list[Backlog]) -> None:
    overload = Overload(workers=2)
    for at_s, backlog in enumerate(backlogs):
        overload.look(backlog, at_s)
    assert overload.look(Backlog(), 1000.0) is NONE
