"""Times for words that an engine gives without, or with unusable ones."""

import math
from collections.abc import Iterable, Iterator

from callreel.asr.engine import RecognizedWord
from callreel.domain import words as wording


def spread(text: str, start_ms: int, end_ms: int, confidence: float | None = None) -> list[RecognizedWord]:
    """The words of `text`, one after the other and without gaps, over [start_ms, end_ms]."""
    placed = wording.spread(wording.split_words(text), start_ms, end_ms)
    return [RecognizedWord(*word, confidence) for word in placed]


def timed(words: Iterable[tuple[str, object, object]], duration_ms: int) -> list[RecognizedWord]:
    """Words with their start and end in seconds, as a server gave them.

    A word whose times are missing or no numbers gets the room between its neighbours. No word lies outside of the audio or
    before the one before it.
    """
    kept = [(text.strip(), _ms(start, duration_ms), _ms(end, duration_ms)) for text, start, end in words]
    return list(_placed([word for word in kept if word[0]], duration_ms))


def _placed(words: list[tuple[str, int | None, int | None]], duration_ms: int) -> Iterator[RecognizedWord]:
    waiting: list[str] = []
    at_ms = 0
    for text, start_ms, end_ms in words:
        if start_ms is None or end_ms is None:
            waiting.append(text)
            continue
        start_ms = max(start_ms, at_ms)
        yield from (RecognizedWord(*word, None) for word in wording.spread(waiting, at_ms, start_ms))
        waiting.clear()
        at_ms = max(start_ms, end_ms)
        yield RecognizedWord(text, start_ms, at_ms, None)
    yield from (RecognizedWord(*word, None) for word in wording.spread(waiting, at_ms, duration_ms))


def _ms(seconds: object, duration_ms: int) -> int | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return None
    return min(max(0, round(seconds * 1000)), duration_ms)
