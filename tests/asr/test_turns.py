from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.asr.engine import RecognizedWord
from callreel.asr.turns import merge_turns, words_from
from callreel.domain.call import Role
from callreel.domain.transcript import Final, Segment, Turn, Word

AGENT, TECHNICIAN = Role.AGENT, Role.TECHNICIAN


def said(
    role: Role, start_ms: int, end_ms: int, text: str = "word", confidence: float | None = None
) -> Final:
    """A final whose words share its span evenly."""
    texts = text.split()
    each_ms = (end_ms - start_ms) // max(1, len(texts))
    words = tuple(
        Word(one, start_ms + n * each_ms, start_ms + (n + 1) * each_ms, confidence)
        for n, one in enumerate(texts)
    )
    return Final(Segment(role, 0, start_ms, end_ms), words)


def spans(turns: list[Turn]) -> list[tuple[Role, int, int]]:
    return [(turn.role, turn.start_ms, turn.end_ms) for turn in turns]


def test_an_engines_words_are_placed_on_the_call() -> None:
    decoded = [RecognizedWord("hello", 40, 300, 0.5), RecognizedWord("there", 300, 480, None)]
    assert words_from(decoded, 1000) == (Word("hello", 1040, 1300, 0.5), Word("there", 1300, 1480, None))


def test_nothing_said_is_no_turn() -> None:
    assert merge_turns([]) == []
    assert merge_turns([said(AGENT, 0, 1000, ""), said(AGENT, 1200, 2000, "")]) == []


def test_a_short_pause_does_not_end_a_turn() -> None:
    turns = merge_turns([said(AGENT, 0, 1000, "good morning"), said(AGENT, 2500, 3000, "sir")])
    assert [(turn.text, turn.start_ms, turn.end_ms) for turn in turns] == [("good morning sir", 0, 3000)]


def test_a_longer_pause_does() -> None:
    finals = [said(AGENT, 0, 1000), said(AGENT, 2501, 3000)]
    assert len(merge_turns(finals)) == 2
    assert len(merge_turns(finals, max_pause_ms=1501)) == 1


@pytest.mark.parametrize("start_ms", [1_100, 800], ids=["in the pause", "into the pause"])
def test_the_other_party_speaking_in_the_pause_ends_a_turn(start_ms: int) -> None:
    finals = [said(AGENT, 0, 1000), said(TECHNICIAN, start_ms, 1300), said(AGENT, 1400, 2000)]
    assert spans(merge_turns(finals)) == [
        (AGENT, 0, 1000),
        (TECHNICIAN, start_ms, 1300),
        (AGENT, 1400, 2000),
    ]


def test_a_word_thrown_in_while_one_speaks_does_not_cut_the_turn() -> None:
    finals = [said(AGENT, 0, 3000), said(TECHNICIAN, 1000, 1300, "right"), said(AGENT, 3400, 5000)]
    assert spans(merge_turns(finals)) == [(AGENT, 0, 5000), (TECHNICIAN, 1000, 1300)]


def test_a_segment_without_words_does_not_part_a_turn() -> None:
    finals = [said(AGENT, 0, 1000), said(TECHNICIAN, 1100, 1300, ""), said(AGENT, 1400, 2000)]
    assert spans(merge_turns(finals)) == [(AGENT, 0, 2000)]


def test_confidence_is_the_mean_over_the_words_that_have_one() -> None:
    merged = merge_turns(
        [said(AGENT, 0, 1000, "a b", 0.5), said(AGENT, 1000, 1500, "c", 0.8), said(AGENT, 1500, 1600, "d")]
    )
    assert [turn.confidence for turn in merged] == [pytest.approx(0.6)]
    assert merge_turns([said(AGENT, 0, 1000, "a b")])[0].confidence is None


FINALS = st.lists(
    st.builds(
        lambda role, start_ms, length_ms, count: said(role, start_ms, start_ms + length_ms, "w " * count),
        st.sampled_from(Role),
        st.integers(0, 20_000),
        st.integers(0, 4000),
        st.integers(0, 4),
    ),
    max_size=30,
)


@given(FINALS)
def test_no_word_is_lost_or_doubled(finals: list[Final]) -> None:
    before = Counter((final.segment.role, word) for final in finals for word in final.words)
    after = Counter((turn.role, word) for turn in merge_turns(finals) for word in turn.words)
    assert after == before


@given(FINALS)
def test_turns_are_sorted_and_those_of_one_party_never_overlap(finals: list[Final]) -> None:
    turns = merge_turns(finals)
    assert [turn.start_ms for turn in turns] == sorted(turn.start_ms for turn in turns)
    for role in Role:
        own = [turn for turn in turns if turn.role is role]
        for earlier, later in zip(own, own[1:], strict=False):
            assert earlier.end_ms < later.start_ms
        starts = [word.start_ms for turn in own for word in turn.words]
        assert starts == sorted(starts)


@given(FINALS)
def test_a_turn_spans_its_words_and_says_them(finals: list[Final]) -> None:
    for turn in merge_turns(finals):
        assert turn.words
        assert turn.start_ms == min(word.start_ms for word in turn.words)
        assert turn.end_ms == max(word.end_ms for word in turn.words)
        assert turn.text.split() == [word.text for word in turn.words]


@given(FINALS.flatmap(lambda finals: st.tuples(st.just(finals), st.permutations(finals))))
def test_the_order_in_which_finals_come_does_not_matter(orders: tuple[list[Final], list[Final]]) -> None:
    assert spans(merge_turns(orders[0])) == spans(merge_turns(orders[1]))
