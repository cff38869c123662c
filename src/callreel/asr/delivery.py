"""How the words of a call reached those who read along: when, and how many were retracted.

It counts, fed with what was shown and when on the call's clock; whether the words were right is another question
(`speech.live_score`). A word's time is when it first stood at its place, in a partial or the final.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from callreel.asr.stability import same_word
from callreel.domain.transcript import Word

LATE_MS = 1500
"""Longer than this after it was said, a word is late."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """Counts of words, of some segments. `retracted` were shown and then replaced or removed."""

    words: int = 0
    late: int = 0
    retracted: int = 0

    def __add__(self, other: "Delivered") -> "Delivered":
        return Delivered(self.words + other.words, self.late + other.late, self.retracted + other.retracted)


class SegmentDelivery:
    """One for each segment, from its first partial to its final."""

    def __init__(self) -> None:
        self._shown: list[tuple[str, int]] = []
        self._retracted = 0

    def show(self, words: Sequence[Word], at_ms: int) -> None:
        """All words of the segment that are shown from `at_ms` of the call on."""
        kept = 0
        for (text, _), word in zip(self._shown, words, strict=False):
            if not same_word(text, word.text):
                break
            kept += 1
        self._retracted += len(self._shown) - kept
        self._shown[kept:] = [(word.text, at_ms - word.end_ms) for word in words[kept:]]

    def final(self, words: Sequence[Word], at_ms: int) -> Delivered:
        """The delivery of the segment, whose final words are shown from `at_ms` of the call on."""
        self.show(words, at_ms)
        late = sum(delay_ms > LATE_MS for _, delay_ms in self._shown)
        return Delivered(len(self._shown), late, self._retracted)
