"""Every measure against conversations whose figures follow from the times by hand."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callreel.domain.call import Role
from callreel.domain.measures import (
    CallMeasures,
    CallSpeech,
    Interruption,
    Span,
    Spoken,
    joined,
    live_measures,
    measure,
    words_per_minute,
)

A, T = Role.AGENT, Role.TECHNICIAN


def measured(agent: list[tuple[int, int]], technician: list[tuple[int, int]], **rest: Any) -> CallMeasures:
    speech = {A: [Span(*span) for span in agent], T: [Span(*span) for span in technician]}
    captured = CallSpeech(speech, rest.pop("start_ms", 0), rest.pop("end_ms", 60_000), **rest)
    return measure(captured, silence_limit_ms=5_000)


def test_ordinary_conversation() -> None:
    call = measured(
        [(1_000, 4_000), (4_200, 6_000), (20_000, 22_000)],
        [(7_000, 12_000), (30_000, 31_000)],
        words={A: 17, T: 12},
        ringing_ms=6_500,
    )
    agent, technician = call.agent, call.technician
    assert (agent.talk_ms, technician.talk_ms) == (7_000, 6_000)  # the breath of 200 ms is talk
    assert (agent.talk_ratio, technician.talk_ratio) == (0.5385, 0.4615)
    assert (agent.turns, technician.turns) == (2, 2)
    assert (agent.longest_turn_ms, agent.longest_turn_at_ms) == (5_000, 1_000)
    assert (agent.words_per_minute, technician.words_per_minute) == (146, 120)
    assert (agent.response_ms, technician.response_ms, technician.responses) == (8_000, 1_000, 2)
    assert (agent.first_word_ms, technician.first_word_ms) == (1_000, 7_000)
    assert call.silences == (Span(12_000, 20_000), Span(22_000, 30_000), Span(31_000, 60_000))
    assert (call.silence_ms, call.ringing_ms, call.overlap_ms, call.interruptions) == (45_000, 6_500, 0, ())


INTERRUPTIONS = {
    "the other stops": ([(0, 5_000)], [(4_000, 9_000)], [(4_000, T, A, 1_000)]),
    "the other continues": ([(0, 9_000)], [(4_000, 5_500)], [(4_000, T, T, 1_500)]),
    "backchannel": ([(0, 9_000)], [(4_000, 4_900)], []),
    "short overlap at the end of a turn": ([(0, 5_000)], [(4_710, 9_000)], []),
    "overlap just long enough": ([(0, 5_000)], [(4_700, 9_000)], [(4_700, T, A, 300)]),
    "both begin at once": ([(1_000, 5_000)], [(1_250, 9_000)], []),
    "begins after a moment": ([(1_000, 5_000)], [(1_300, 9_000)], [(1_300, T, A, 3_700)]),
    "in turn": ([(0, 5_000), (6_000, 9_000)], [(4_000, 7_000)], [(4_000, T, A, 1_000), (6_000, A, T, 1_000)]),
    "both stop at once": ([(0, 5_000)], [(4_000, 5_000)], [(4_000, T, A, 1_000)]),
    "short, and it outlasts the other": ([(0, 5_000)], [(4_400, 5_300)], []),
    "one after the other": ([(0, 5_000)], [(5_000, 9_000)], []),
}


@pytest.mark.parametrize("name", INTERRUPTIONS)
def test_interruptions(name: str) -> None:
    agent, technician, expected = INTERRUPTIONS[name]
    call = measured(agent, technician)
    assert list(call.interruptions) == [Interruption(*one) for one in expected]
    for role in Role:
        party = call.of(role)
        assert party.interruptions == sum(one[1] is role for one in expected)
        assert party.gave_way == sum(one[2] is role for one in expected)


def test_backchannel_takes_no_turn() -> None:
    call = measured([(0, 10_000), (10_500, 15_000)], [(4_000, 4_500)])
    assert (call.agent.turns, call.technician.turns) == (1, 0)
    assert (call.agent.longest_turn_ms, call.overlap_ms) == (15_000, 500)
    assert call.technician.talk_ms == 500  # but it counts as talk


def test_listed_silence_ends_a_turn() -> None:
    call = measured([(0, 4_000), (8_900, 10_000), (15_000, 16_000)], [])
    assert (call.agent.turns, call.agent.longest_turn_ms) == (2, 10_000)
    assert call.technician.response_ms is None and call.technician.first_word_ms is None
    assert call.technician.talk_ratio == 0.0


def test_pause_is_neither_silence_nor_response_time() -> None:
    call = measured([(0, 4_000)], [(30_000, 32_000)], pauses=[Span(6_000, 27_000)], end_ms=32_000)
    assert (call.paused_ms, call.silences, call.technician.responses) == (21_000, (), 0)


def test_pause_ends_a_turn() -> None:
    call = measured([(0, 10_000), (70_000, 80_000)], [], pauses=[Span(10_000, 70_000)], end_ms=80_000)
    assert (call.agent.turns, call.agent.longest_turn_ms, call.silences) == (2, 10_000, ())


def test_measured_from_the_answer_to_the_end() -> None:
    call = measured([(0, 500), (9_000, 10_000)], [(2_000, 7_000)], start_ms=3_000, end_ms=9_500)
    assert (call.agent.talk_ms, call.technician.talk_ms) == (500, 4_000)
    assert (call.agent.first_word_ms, call.technician.first_word_ms) == (6_000, 0)


def test_nothing_said() -> None:
    call = measured([], [], end_ms=4_999, words={})
    assert (call.silences, call.agent.talk_ratio, call.agent.words_per_minute) == ((), None, None)
    assert measured([], [], end_ms=5_000).silences == (Span(0, 5_000),)


def test_speech_rate_needs_a_second_of_speech() -> None:
    assert [words_per_minute(*given) for given in ((3, 999), (3, 1_000), (None, 9_000))] == [None, 180, None]


spans = st.lists(
    st.tuples(st.integers(0, 60_000), st.integers(1, 9_000)).map(lambda one: (one[0], one[0] + one[1])),
    max_size=12,
)


@settings(max_examples=40)
@given(spans, spans)
def test_figures_agree_with_each_other(
    agent: list[tuple[int, int]], technician: list[tuple[int, int]]
) -> None:
    call = measured(agent, technician, words={A: 1, T: 2})
    spoken = joined(span for role in Role for span in call.of(role).speech)
    some_ms = sum(span.length_ms for span in spoken)
    assert call.agent.talk_ms + call.technician.talk_ms - call.overlap_ms == some_ms
    assert some_ms + call.silence_ms <= 60_000
    assert call.swapped.swapped == call
    assert call.swapped.agent == call.technician
    mirrored = measured(technician, agent, words={A: 2, T: 1})
    assert mirrored.silences == call.silences
    assert [one.at_ms for one in mirrored.interruptions] == [one.at_ms for one in call.interruptions]
    for role in Role:
        one, other = call.of(role), mirrored.of(role.other)
        assert (one.speech, one.interruptions, one.gave_way) == (
            other.speech,
            other.interruptions,
            other.gave_way,
        )


def test_live_talk_time_and_current_silence() -> None:
    spoken = {A: Spoken(4_000, 9_000), T: Spoken(0, 0)}
    assert live_measures(spoken, 12_000) == {
        "agent_talk_ms": 4_000, "technician_talk_ms": 0, "silence_ms": 3_000,
    }  # fmt: skip
    assert live_measures({A: Spoken(4_000, 9_000), T: None}, 12_000) == {}  # nothing is detected live
    assert live_measures({A: Spoken(4_000, 9_000)}, 12_000) == {}
    assert live_measures(spoken, 8_990)["silence_ms"] == 0
