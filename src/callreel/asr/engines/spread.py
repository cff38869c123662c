"""Times for words of which an engine gives only the text.

Not a measurement: each word gets a share of the span by its length, which is near enough to follow a playback by.
"""

from callreel.asr.engine import RecognizedWord


def spread(text: str, start_ms: int, end_ms: int, confidence: float | None = None) -> list[RecognizedWord]:
    """The words of `text`, one after the other and without gaps, over [start_ms, end_ms]."""
    words = text.split()
    letters = sum(len(word) for word in words)
    heard, before = [], 0
    for word in words:
        begin_ms = start_ms + (end_ms - start_ms) * before // letters
        before += len(word)
        finish_ms = start_ms + (end_ms - start_ms) * before // letters
        heard.append(RecognizedWord(word, begin_ms, finish_ms, confidence))
    return heard
