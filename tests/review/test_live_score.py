import pytest

from callreel.domain.call import Role
from callreel.domain.transcript import Turn, Word
from callreel.review.live_score import LiveScore, live_score


def turn(text: str, role: Role = Role.AGENT, start_ms: int = 0) -> Turn:
    words = tuple(
        Word(word, start_ms + 300 * at, start_ms + 300 * at + 250) for at, word in enumerate(text.split())
    )
    return Turn(role, start_ms, words[-1].end_ms, text, None, words)


def test_words_are_counted_by_outcome() -> None:
    live = [turn("the bump is at full pressure now"), turn("yes well", Role.TECHNICIAN, 4000)]
    final = [turn("the pump is at full pressure"), turn("yes well it is", Role.TECHNICIAN, 4000)]
    found = live_score(live, final)
    assert found == LiveScore(words=10, same=7, replaced=1, missing=2, added=1)
    assert found.rate == pytest.approx(0.4)


def test_a_call_without_a_final_word_has_no_rate() -> None:
    assert live_score([turn("hello")], []) == LiveScore(0, 0, 0, 0, 1)
    assert live_score([], []).rate is None


def test_words_of_the_parties_are_scored_separately() -> None:
    assert live_score([turn("hello")], [turn("hello", Role.TECHNICIAN)]) == LiveScore(1, 0, 0, 1, 1)
