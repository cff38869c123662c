"""Parsing of faults, and the effect of frame faults on a schedule."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callreel.domain.call import Track
from callreel.domain.errors import SettingsError
from callreel.simulator.faults import (
    FAULTS,
    SPARED_MS,
    Fault,
    ScheduledMessage,
    inject,
    parse_fault,
    value_of,
)

SCHEDULE = [  # 15 s, two tracks
    ScheduledMessage(20.0 * (1 + number // 2), str(number), list(Track)[number % 2]) for number in range(1500)
]
FRAME_FAULTS = ["lost", "late", "repeated", "reordered", "stall"]


def delivered(*names: str, seed: int = 7) -> list[ScheduledMessage]:
    return list(inject(SCHEDULE, [parse_fault(name) for name in names], seed))


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_parsed_by_its_name(name: str) -> None:
    fault = parse_fault(name)
    assert fault == Fault(name, FAULTS[name].default or 0.0)
    assert value_of([fault], name) == (FAULTS[name].default or 0.0)
    assert value_of([fault], "no such") is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("lost=0.1", Fault("lost", 0.1)),
        ("lost=5%", Fault("lost", 0.05)),
        ("lost=50", Fault("lost", 50)),
        (" socket-cut=3.5 ", Fault("socket-cut", 3.5)),
        ("absent=16101", Fault("absent", 16101)),
    ],
)
def test_number_follows_an_equals_sign(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize("text", ["", "los", "lost=", "lost=much", "lost=-1", "lost=nan", "mono=2", "late=0"])
def test_invalid_fault_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_fault(text)


def test_without_faults_the_schedule_is_unchanged() -> None:
    assert delivered() == SCHEDULE


def test_two_percent_of_frames_are_lost_after_two_seconds() -> None:
    missing = {sending.message for sending in SCHEDULE} - {sending.message for sending in delivered("lost")}
    assert 10 < len(missing) < 50
    assert all(SCHEDULE[int(message)].due_ms >= SPARED_MS for message in missing)


def test_every_nth_frame_is_lost() -> None:
    kept = {sending.message for sending in delivered("lost=100")}
    missing = [sending for sending in SCHEDULE if sending.message not in kept]
    assert [int(sending.message) for sending in missing] == sorted(
        [*range(198, 1500, 200), *range(199, 1500, 200)]
    )


def test_repeated_frames_are_sent_twice_in_a_row() -> None:
    sent = delivered("repeated=50")
    counts = Counter(sending.message for sending in sent)
    assert [int(message) for message, count in counts.items() if count == 2] == sorted(
        [*range(198, 1500, 100), *range(199, 1500, 100)]
    )
    assert sum(counts.values()) == 1500 + 28


def test_reordered_frames_follow_their_successor() -> None:
    order = [int(sending.message) for sending in delivered("reordered=50")]
    assert order[:198] == list(range(198))
    assert order[198:203] == [200, 201, 198, 199, 202]
    assert sorted(order) == list(range(1500))


def test_late_frames_are_delayed() -> None:
    sent = delivered("late=300")
    late = [sending for sending in sent if sending.due_ms == SCHEDULE[int(sending.message)].due_ms + 300]
    assert len(late) == 28
    assert len(sent) == 1500


def test_stall_delays_frames_in_order() -> None:
    sent = delivered("stall")
    assert [sending.message for sending in sent] == [sending.message for sending in SCHEDULE]
    held = [sending for sending in sent if sending.due_ms in (5233.0, 10233.0, 15233.0)]
    assert len(held) == 2 * 24 + 2  # 12 frames of two tracks in 233 ms, twice, and those at 15 s


@settings(max_examples=30)
@given(st.lists(st.sampled_from(FRAME_FAULTS), max_size=3), st.integers(0, 100))
def test_any_mix_is_deterministic_and_ordered(names: list[str], seed: int) -> None:
    sent = delivered(*names, seed=seed)
    assert sent == delivered(*names, seed=seed)
    dues = [sending.due_ms for sending in sent]
    assert dues == sorted(dues) or "stall" in names
    assert {sending.message for sending in sent} <= {sending.message for sending in SCHEDULE}
    if "lost" not in names:
        assert {sending.message for sending in sent} == {sending.message for sending in SCHEDULE}
