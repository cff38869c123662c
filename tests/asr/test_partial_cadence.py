from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from callreel.asr.engine import Capabilities
from callreel.asr.partial_cadence import PartialCadence

CAPABLE = Capabilities("any", "any", partials=True, word_times=True, confidence=True, runs_here=True)


def request_times(cadence: PartialCadence, number: int, until_ms: int) -> list[int]:
    """When it asks, given audio in frames of 20 ms."""
    return [known_ms for known_ms in range(0, until_ms + 1, 20) if cadence.due(number, known_ms)]


def test_first_request_after_one_second_then_every_700_ms() -> None:
    assert request_times(PartialCadence(), 0, 3000) == [1000, 1700, 2400]


def test_slow_answers_make_requests_rarer() -> None:
    cadence = PartialCadence()
    cadence.answered(800)
    assert request_times(cadence, 0, 4000) == [1000, 2200, 3400]


def test_each_segment_begins_anew() -> None:
    cadence = PartialCadence()
    assert request_times(cadence, 0, 1500) == [1000]
    assert request_times(cadence, 1, 1500) == [1000]


def test_an_engine_without_partials_has_no_cadence() -> None:
    assert PartialCadence.for_engine(replace(CAPABLE, partials=False)) is None
    assert PartialCadence.for_engine(CAPABLE) is not None


@given(st.lists(st.tuples(st.integers(1, 3000), st.integers(0, 5000))))
def test_questions_are_never_closer_than_the_engine_can_bear(steps: list[tuple[int, int]]) -> None:
    cadence = PartialCadence()
    known_ms, last_ms, gap_ms = 0, 0, 1000
    for more_ms, took_ms in steps:
        known_ms += more_ms
        if cadence.due(0, known_ms):
            assert known_ms - last_ms >= gap_ms
            last_ms, gap_ms = known_ms, 700
        cadence.answered(took_ms)
