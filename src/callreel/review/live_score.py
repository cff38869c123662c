"""The quality of a call's live text, measured against its final text.

The final text may be wrong too; it is a better decoding of the same audio. Words are aligned as in
`review/transcript_difference`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from callreel.domain.transcript import Turn
from callreel.review.transcript_difference import differences


@dataclass(frozen=True, slots=True)
class LiveScore:
    """Counts of words: `words` in the final text, of which `same`, `replaced` and `missing`; `added` are only in the live text."""

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
    """The score of two transcripts on the call's clock."""
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
