"""Times for words that an engine gives without, or with unusable ones."""

import math
from collections.abc import Iterable
from numbers import Real

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
    kept = ((text.strip(), _ms(start, duration_ms), _ms(end, duration_ms)) for text, start, end in words)
    placed = wording.placed_between((word for word in kept if word[0]), duration_ms)
    return [RecognizedWord(*word, None) for word in placed]


def finite(value: object) -> float | None:
    """A number as an engine or server gives it; None for anything else, as NaN or text."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _ms(value: object, duration_ms: int) -> int | None:
    seconds = finite(value)
    return None if seconds is None else round(min(max(0.0, seconds * 1000), duration_ms))
