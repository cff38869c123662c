from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from callreel.asr.stability import Showing, Stability, continued
from callreel.domain.transcript import Word


def said(text: str, start_ms: int = 0, word_ms: int = 200) -> tuple[Word, ...]:
    """The words of `text`, one after the other, each `word_ms` long."""
    return tuple(
        Word(word, start_ms + word_ms * at, start_ms + word_ms * (at + 1))
        for at, word in enumerate(text.split())
    )


def texts(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)


def shown(showing: Showing) -> tuple[str, str]:
    return texts(showing.stable), texts(showing.tentative)


def test_contradicted_stable_words_are_counted_by_alignment() -> None:
    stability = Stability()
    for until_ms in (1000, 1200):
        stability.update(said("please send the truck now"), until_ms)
    assert stability.contradicted(said("Please send the truck now, will you")) == 0
    assert stability.contradicted(said("please sent the truck now")) == 1
    assert stability.contradicted(said("oh please send the truck now", word_ms=160)) == 0, "one more"
    assert stability.contradicted(said("send the truck now", 200)) == 1
    later = said("sorry", 0) + said("send the truck now", 1000)
    assert stability.contradicted(later) == 5, "the same words elsewhere are others"
    assert stability.contradicted(()) == 5
    assert Stability().contradicted(said("anything")) == 0


def test_word_is_tentative_once_and_stable_when_repeated() -> None:
    stability = Stability(settle_ms=0)
    assert shown(stability.update(said("good morning this"), 800)) == ("", "good morning this")
    assert shown(stability.update(said("good morning that is"), 1000)) == ("good morning", "that is")
    assert shown(stability.update(said("good morning that is all"), 1200)) == ("good morning that is", "all")


def test_agreement_on_a_word_whose_end_is_young_does_not_count_yet() -> None:
    stability = Stability(settle_ms=600)
    for until_ms, stable in ((400, ""), (550, ""), (800, "one"), (1000, "one two")):
        assert shown(stability.update(said("one two"), until_ms))[0] == stable


def test_contradicting_hypothesis_continues_after_the_stable_words() -> None:
    stability = Stability(settle_ms=0)
    for _ in range(2):
        stability.update(said("send the truck"), 700)
    assert shown(stability.update(said("sent a truck now"), 900)) == ("send the truck", "now")
    assert texts(stability.final(said("sent a truck now please"))) == "send the truck now please"


def test_capitals_and_punctuation_do_not_change_a_word() -> None:
    stability = Stability(settle_ms=0)
    stability.update(said("hello there"), 500)
    assert shown(stability.update(said("Hello, there general"), 700)) == ("Hello, there", "general")
    assert texts(stability.final(said("Hello there. General Kenobi"))) == "Hello there. General Kenobi"


def test_final_is_the_engines_own_without_stable_words() -> None:
    stability = Stability(settle_ms=0)
    stability.update(said("wreck a nice beach"), 900)
    assert texts(stability.final(said("recognise speech"))) == "recognise speech"


def test_an_engine_that_forgets_everything_takes_nothing_back() -> None:
    stability = Stability(settle_ms=0)
    for _ in range(2):
        stability.update(said("still here"), 500)
    assert shown(stability.update((), 700)) == ("still here", "")
    assert texts(stability.final(())) == "still here"


WORDS = st.lists(st.sampled_from("a b c A a. d".split()), max_size=6)
HYPOTHESES = st.lists(st.tuples(WORDS, st.integers(0, 300), st.integers(50, 300)), max_size=8)


def folded(words: Sequence[Word]) -> list[str]:
    return [word.text.lower().strip(".") for word in words]


@given(HYPOTHESES, WORDS, st.sampled_from([0, 200, 600]))
def test_what_was_shown_as_stable_is_never_retracted(
    hypotheses: list[tuple[list[str], int, int]], last: list[str], settle_ms: int
) -> None:
    stability, before = Stability(settle_ms), list[str]()
    for number, (words, start_ms, word_ms) in enumerate(hypotheses):
        until_ms = 300 * (number + 1)
        showing = stability.update(said(" ".join(words), start_ms, word_ms), until_ms)
        stable = folded(showing.stable)
        assert stable[: len(before)] == before
        assert all(word.end_ms <= until_ms - settle_ms for word in showing.stable[len(before) :])
        before = stable
    final = stability.final(said(" ".join(last), 0, 150))
    assert folded(final)[: len(before)] == before


@given(WORDS, WORDS)
def test_no_word_of_a_continuation_comes_before_the_stable_ones(stable: list[str], new: list[str]) -> None:
    kept = said(" ".join(stable))
    whole = continued(kept, said(" ".join(new), 90, 170))
    assert folded(whole)[: len(kept)] == folded(kept)
    assert len(whole) <= len(kept) + len(new)
