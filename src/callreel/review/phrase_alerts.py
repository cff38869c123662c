"""The phrase alerts of a call as people see them: displayed roles, positions on the call's clock, the words from the transcript.

An alert refers to words by position; their text is that of the live transcript as it is shown, with its redactions.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from callreel.domain.call import Role
from callreel.domain.events import Json
from callreel.domain.transcript import Turn, words_of
from callreel.domain.words import join_words
from callreel.store.calls import phrase_alerts
from callreel.store.calls.calls import CallRow
from callreel.store.calls.phrase_alerts import PhraseAlertRow


def alert_summaries(
    conn: Connection, call: CallRow, shown: Iterable[Turn], offset_ms: int
) -> list[dict[str, Json]]:
    """The alerts in the order in which they were raised; roles as recorded.

    `shown` are the live turns as they are displayed, on the call's clock, which is `offset_ms` ahead of the live layers'.
    """
    turns = list(shown)
    return [_summary(row, turns, offset_ms) for row in phrase_alerts.of_call(conn, call.id)]


def _summary(row: PhraseAlertRow, turns: Sequence[Turn], offset_ms: int) -> dict[str, Json]:
    data = row.data
    if row.start_ms is None or row.end_ms is None:
        return {**data, "text": None}
    start_ms, end_ms = row.start_ms + offset_ms, row.end_ms + offset_ms
    text = _said(turns, row.role, start_ms, end_ms)
    return {**data, "start_ms": start_ms, "end_ms": end_ms, "text": text or None}


def _said(turns: Sequence[Turn], role: Role | None, start_ms: int, end_ms: int) -> str:
    """The words between two positions, and the masks of those that are redacted."""
    return join_words(
        word.text
        for turn in turns
        if turn.role is role and turn.start_ms < end_ms and turn.end_ms > start_ms
        for word in words_of(turn)
        if word.start_ms < end_ms and word.end_ms > start_ms
    )
