"""Corrections of turns: what changes, what keeps its time, what is refused."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.call import Role
from callreel.domain.transcript import Turn, Word, spread_words, words_of
from callreel.review.turn_edits import Change, CorrectionError, corrected


def turn(text: str, start_ms: int = 1000) -> Turn:
    words = tuple(
        Word(piece, start_ms + 200 * n, start_ms + 200 * n + 150, 0.5) for n, piece in enumerate(text.split())
    )
    end_ms = words[-1].end_ms if words else start_ms
    return Turn(Role.AGENT, start_ms, end_ms, text, 0.5, words)


TURNS = (turn("close the wolf please"), turn("i will", 5000))


def one(*changes: Change) -> Turn:
    made = corrected(TURNS, changes)
    assert list(made) == [0]
    assert made[0] is not None
    return made[0]


def test_one_word_is_corrected() -> None:
    made = one(Change(0, word=2, text="valve"))
    assert made.text == "close the valve please"
    assert made.words[2] == Word("valve", 1400, 1550)
    assert made.words[3] == TURNS[0].words[3]
    assert made.confidence == 0.5


def test_a_word_becomes_two_or_none() -> None:
    made = one(Change(0, word=2, text="left valve"), Change(0, word=3, text=" "))
    assert [word.text for word in made.words] == ["close", "the", "left", "valve"]
    assert (made.words[2].start_ms, made.words[3].end_ms) == (1400, 1550)
    assert made.words[2].end_ms == made.words[3].start_ms


def test_retyped_turn_keeps_the_times_of_its_words() -> None:
    made = one(Change(0, text="Now close  the left valve, please"))
    assert made.text == "Now close the left valve, please"
    kept = {word.text: word.start_ms for word in made.words}
    assert (kept["close"], kept["the"], kept["please"]) == (1000, 1200, 1600)
    assert 1400 <= kept["left"] < kept["valve,"] < 1550


def test_corrected_words_have_no_confidence() -> None:
    made = one(Change(0, text="Close the valve please"))
    assert [word.confidence for word in made.words] == [None, 0.5, None, 0.5]
    assert made.words[0].start_ms == 1000
    assert made.confidence == 0.5
    assert one(Change(0, text="CLOSE THE WOLF PLEASE")).confidence is None


def test_corrected_turn_keeps_its_engine() -> None:
    by_fallback = replace(TURNS[0], fallback_engine="openai")
    made = corrected([by_fallback], [Change(0, word=2, text="valve")])[0]
    assert made is not None and made.fallback_engine == "openai"


def test_changed_party_keeps_text_and_words() -> None:
    made = one(Change(0, role=Role.TECHNICIAN))
    assert made.role is Role.TECHNICIAN
    assert (made.text, made.words) == (TURNS[0].text, TURNS[0].words)


def test_text_and_party_change_together() -> None:
    made = one(Change(0, text="no", role=Role.TECHNICIAN))
    assert (made.text, made.role, made.confidence) == ("no", Role.TECHNICIAN, None)


def test_an_empty_text_removes_a_turn() -> None:
    assert corrected(TURNS, [Change(1, text="  ")]) == {1: None}
    assert corrected(TURNS, [Change(1, word=0, text=""), Change(1, word=1, text="")]) == {1: None}


def test_unchanged_text_is_no_change() -> None:
    assert corrected(TURNS, [Change(0, text="close the wolf please"), Change(1, role=Role.AGENT)]) == {}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ([Change(2, text="x")], "there is no turn 2"),
        ([Change(-1, text="x")], "there is no turn -1"),
        ([Change(0, word=4, text="x")], "there is no word 4"),
        ([Change(0, word=-1, text="x")], "there is no word -1"),
        ([Change(0)], "a text, a role or both"),
        ([Change(0, word=1)], "needs a text and no role"),
        ([Change(0, word=1, text="x", role=Role.AGENT)], "needs a text and no role"),
        ([Change(0, text="x"), Change(0, text="y")], "the same word or turn"),
        ([Change(0, word=1, text="x"), Change(0, word=1, text="y")], "the same word or turn"),
        ([Change(0, text="x"), Change(0, word=1, text="y")], "the same word or turn"),
        ([Change(0, role=Role.AGENT), Change(0, role=Role.TECHNICIAN)], "the same word or turn"),
    ],
)
def test_unfitting_changes_are_refused(changes: list[Change], reason: str) -> None:
    with pytest.raises(CorrectionError, match=reason):
        corrected(TURNS, changes)


def test_mismatched_words_are_spread_over_the_turn() -> None:
    said = Turn(Role.AGENT, 0, 1000, "a bcd", None, (Word("a", 0, 10),))
    assert words_of(said) == (Word("a", 0, 250), Word("bcd", 250, 1000))
    assert spread_words("", 0, 10) == ()


@given(st.text(alphabet="ab ", max_size=20), st.text(alphabet="ab ", max_size=20))
def test_any_text_keeps_to_the_turn_and_its_order(before: str, after: str) -> None:
    said = turn(" ".join(before.split()) or "x")
    made = corrected([said], [Change(0, text=after)]).get(0, said)
    assert " ".join(after.split()) == (made.text if made else "")
    words = made.words if made else ()
    assert all(said.start_ms <= word.start_ms <= word.end_ms <= said.end_ms for word in words)
    assert all(one.start_ms <= next.start_ms for one, next in zip(words, words[1:], strict=False))


def test_many_repeated_words_are_aligned_in_bounded_time() -> None:
    long = turn("valve " * 3000)
    began_s = time.perf_counter()
    made = corrected([long], [Change(0, text="valve gauge " * 2000)])[0]
    assert time.perf_counter() - began_s < 10, "SequenceMatcher takes minutes"
    assert made is not None and len(made.words) == 4000
