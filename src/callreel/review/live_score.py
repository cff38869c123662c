"""The quality of a call's live text, measured against its final text.

The final text is not the truth, only a better decoding of the same audio. Words are held against each other as
`speech.difference` does it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from callreel.domain.transcript import Turn
from callreel.review.transcript_difference import differences


@dataclass(frozen=True, slots=True)
class LiveScore:
    """Counts of words. `words` is those of the final text: `same`, `replaced` and `missing` of them, and `added` others."""

    words: int
    same: int
    replaced: int
    missing: int
    added: int

    @property
    def rate(self) -> float | None:
        """Word error rate of the live text against the final one, 0 upwards. None without a final word."""
        return (self.replaced + self.missing + self.added) / self.words if self.words else None


def live_score(live: Iterable[Turn], final: Iterable[Turn]) -> LiveScore:
    """Both on the call's clock."""
    words = same = replaced = missing = added = 0
    for run in differences(live, final):
        live_words, final_words = len(run.live), len(run.final)
        words += final_words
        if run.op == "equal":
            same += final_words
        else:
            replaced += min(live_words, final_words)
            missing += max(0, final_words - live_words)
            added += max(0, live_words - final_words)
    return LiveScore(words, same, replaced, missing, added)
