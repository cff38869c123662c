"""The quality of a call's live text, measured against its final text whenever one of them changes or is aligned.

The final text may be wrong too; it is a better decoding of the same audio. Words are aligned as in
`review/transcript_difference`. That takes CPU time, so the score is counted before the transaction that saves it with the text.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection

from callreel.asr.delivery import Delivered
from callreel.domain.ids import CallId
from callreel.domain.transcript import TranscriptKind, Turn
from callreel.review.summary import on_call_clock
from callreel.review.transcript_difference import differences
from callreel.store.calls.calls import CallRow
from callreel.store.transcripts import live_scores, transcripts

Counts = dict[str, int]


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


def text_score(
    conn: Connection, row: CallRow, *, live: Sequence[Turn] | None = None, final: Sequence[Turn] | None = None
) -> Counts:
    """The counts for `live_scores.put`, of the stored texts or of those given; empty if there is only one of them.

    `live` has the positions of the live layers; `row` has the comparisons that place them in the recording.
    """
    if live is None and (stored := transcripts.latest(conn, row.id, TranscriptKind.LIVE)):
        live = stored.turns
    if final is None and (stored := transcripts.latest(conn, row.id, TranscriptKind.FINAL)):
        final = stored.turns
    if live is None or final is None:
        return {}
    return asdict(live_score(on_call_clock(row, live), final))


def save_delivery(conn: Connection, call_id: CallId, delivered: Delivered) -> None:
    """Save how the words were displayed, counted by the process that published them."""
    counts = {"live_words": delivered.words, "late": delivered.late, "retracted": delivered.retracted}
    live_scores.put(conn, call_id, counts)
