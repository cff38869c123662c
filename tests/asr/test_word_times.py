import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from callreel.asr.engine import RecognizedWord
from callreel.asr.engines.word_times import _REACH_MS, _sounds, _without_silence, fitted

SENTENCE = "the switches on the wall are all off and the elevator stopped responding".split()


def said(starts_ms: list[int], end_ms: int) -> list[RecognizedWord]:
    return [
        RecognizedWord(text, start_ms, next_ms, 0.9)
        for text, start_ms, next_ms in zip(SENTENCE, starts_ms, [*starts_ms[1:], end_ms], strict=False)
    ]


def test_pauses_around_a_word_are_not_part_of_it() -> None:
    levels = np.zeros(200, np.float32)
    levels[60:100] = 60
    levels[150:200] = 60
    assert _without_silence(100, 1_400, levels) == (600, 1_000)
    assert _without_silence(700, 900, levels) == (700, 900)


def test_a_start_that_leaves_a_word_no_time_is_moved() -> None:
    *starts, end = (round(at) for at in np.cumsum([500, *(100 * _sounds(text) for text in SENTENCE)]))
    wrong = [*starts[:6], starts[6] - 170, *starts[7:]]  # "all" begins within "are"
    for placed, most_ms in ((starts, 20), (wrong, 90)):
        found = [word.start_ms for word in fitted(said(placed, end))]
        assert max(abs(one - right) for one, right in zip(found, starts, strict=True)) <= most_ms


@given(st.lists(st.integers(0, 500), min_size=1, max_size=len(SENTENCE)))
def test_words_stay_in_order_and_near_where_attention_places_them(steps_ms: list[int]) -> None:
    starts = [int(at) for at in np.cumsum(steps_ms)]
    words = said(starts, starts[-1] + 300)
    found = fitted(words)
    assert [word.text for word in found] == [word.text for word in words]
    assert all(
        abs(one.start_ms - old.start_ms) <= _REACH_MS + 10 for one, old in zip(found, words, strict=True)
    )
    times = [ms for word in found for ms in (word.start_ms, word.end_ms)]
    assert times == sorted(times) and times[0] >= 0
