"""A call's live score, which is counted whenever its live or final text changes or is aligned.

Aligning words takes CPU time, so the score is counted before the transaction that saves it with the text.
"""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection

from callreel.asr.delivery import Delivered
from callreel.domain.ids import CallId
from callreel.domain.transcript import TranscriptKind, Turn
from callreel.review.live_score import live_score
from callreel.review.summary import on_call_clock
from callreel.store.calls.calls import CallRow
from callreel.store.transcripts import live_scores, transcripts

Counts = dict[str, int]


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
