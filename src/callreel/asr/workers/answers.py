"""An engine's words for one segment, made fit to show, compare and store.

Engines of one's own and foreign servers answer with what their models give: times that are missing, NaN or beyond the audio,
characters that no database stores, and phrases that a decoder repeated without end. One bad word never fails its segment.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from callreel.asr.engine import RecognizedWord
from callreel.asr.engines.spread import finite
from callreel.asr.languages import normalized
from callreel.domain.words import placed_between

_JOINERS = "\u200c\u200d"
"""Characters that are not printable alone, but shape Persian and Indic words."""
_REPEATS = 6
_LONGEST_PHRASE = 8
_LONGEST_TAG = 35  # RFC 5646, section 4.4.1
CUT = "…"
"""Ends the one phrase that remains of a run of repeated ones."""


def checked(words: Iterable[RecognizedWord], duration_ms: int) -> list[RecognizedWord]:
    """Words with text, whole times within the audio and a confidence from 0 to 1 or none.

    A word without a usable time gets the room between its neighbours. Some engines place a last word beyond the audio, in
    their own padding: it ends where the audio does.
    """
    known = [
        (text, _ms(word.start_ms, duration_ms), _ms(word.end_ms, duration_ms), _share(word.confidence))
        for word in words
        if (text := _printable(word.text))
    ]
    timed = [
        (text, min(start, end), end) for text, start, end, _ in known if start is not None and end is not None
    ]
    if len(timed) < len(known):
        timed = placed_between(((text, start, end) for text, start, end, _ in known), duration_ms)
    confidences = (confidence for *_, confidence in known)
    return without_loops(
        [RecognizedWord(*word, share) for word, share in zip(timed, confidences, strict=True)]
    )


def detected(tag: object) -> str:
    """The code of the language that an engine detected, or its own tag if that is none we know."""
    own = _printable(tag)[:_LONGEST_TAG]
    return normalized(own) or own


def without_loops(words: Sequence[RecognizedWord]) -> list[RecognizedWord]:
    """A phrase repeated `_REPEATS` times or more stands once, marked as doubtful and as `CUT`: a decoder made the run.

    Digits may repeat.
    """
    texts = [word.text.casefold().strip(".,!?") for word in words]
    kept: list[RecognizedWord] = []
    at = 0
    while at < len(words):
        size, times = _run(texts, at)
        kept += words[at : at + size] if times == 1 else _marked(words[at : at + size])
        at += size * times
    return kept


def _run(texts: Sequence[str], at: int) -> tuple[int, int]:
    """The phrase from `at` on that is repeated, as its number of words and of repeats; (1, 1) without one."""
    for size in range(1, _LONGEST_PHRASE + 1):
        phrase, times = texts[at : at + size], 1
        while texts[at + times * size : at + (times + 1) * size] == phrase:
            times += 1
        if times >= _REPEATS and not all(map(str.isdigit, phrase)):
            return size, times
    return 1, 1


def _marked(phrase: Sequence[RecognizedWord]) -> list[RecognizedWord]:
    doubtful = [word if word.confidence is None else replace(word, confidence=0.0) for word in phrase]
    last = doubtful[-1]
    return [*doubtful[:-1], replace(last, text=last.text.rstrip(".,!?") + CUT)]


def _printable(text: object) -> str:
    """One line without control characters and lone surrogates; empty if it is not text."""
    if not isinstance(text, str):
        return ""
    return " ".join("".join(c if c.isprintable() or c in _JOINERS else " " for c in text).split())


def _ms(value: object, duration_ms: int) -> int | None:
    known = finite(value)
    return None if known is None else round(min(max(0.0, known), duration_ms))


def _share(value: object) -> float | None:
    known = finite(value)
    return None if known is None else min(max(0.0, known), 1.0)
