"""Overwrites the stored text of a call with its redacted form: transcripts, corrections, live results and their events, and analyses."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, select, update

from callreel.domain.events import EventKind
from callreel.domain.ids import CallId
from callreel.domain.redaction import Entity, Stretch
from callreel.domain.transcript import TranscriptKind, Turn, words_of
from callreel.domain.words import join_words
from callreel.redaction.masking import masked_final, masked_words
from callreel.store.db.tables import finals as final_table
from callreel.store.db.tables import live_events, revised_turns, revisions, transcripts, turns
from callreel.store.insight import analyses
from callreel.store.transcripts import finals


def mask_events(conn: Connection, call_id: CallId, live: Sequence[Stretch]) -> None:
    """Mask the text of the stored live events. `live` are the stretches on the clock of the live layers."""
    masked = {
        (final.segment.role.value, final.segment.number): changed.text
        for final in finals.of_call(conn, call_id)
        if (changed := masked_final(final, live)) is not final
    }
    query = select(live_events.c.id, live_events.c.data)
    query = query.where(live_events.c.call_id == call_id, live_events.c.kind == EventKind.FINAL)
    for row in conn.execute(query).all():
        text = masked.get((row.data.get("role"), row.data.get("number")))
        if text is not None and row.data.get("text") != text:
            same = update(live_events).where(live_events.c.id == row.id)
            conn.execute(same.values(data={**row.data, "text": text}))


def overwrite_text(
    conn: Connection, call_id: CallId, final: Sequence[Stretch], live: Sequence[Stretch]
) -> None:
    """Replace every stored word in the stretches; there is no way back. `mask_events` must have masked the events."""
    kinds = select(transcripts.c.id, transcripts.c.kind).where(transcripts.c.call_id == call_id)
    for transcript in conn.execute(kinds).all():
        of_transcript = turns.c.transcript_id == transcript.id
        _overwrite(conn, turns, of_transcript, live if transcript.kind is TranscriptKind.LIVE else final)
    _overwrite(conn, final_table, final_table.c.call_id == call_id, live)
    of_call = select(revisions.c.id).where(revisions.c.call_id == call_id)
    changed = _overwrite(conn, revised_turns, revised_turns.c.revision_id.in_(of_call), final)
    for revision_id in {row.revision_id for row in changed}:
        mine = revisions.c.id == revision_id
        changes = conn.execute(select(revisions.c.changes).where(mine)).scalar_one()
        hidden = [
            {**change, "text": Entity.OTHER.mask} if change.get("text") else change for change in changes
        ]
        conn.execute(update(revisions).where(mine).values(changes=hidden))
    analyses.overwrite(conn, call_id)


def _overwrite(conn: Connection, table: Table, where: Any, stretches: Sequence[Stretch]) -> list[Any]:
    """Returns the rows that changed, as they were."""
    changed = []
    for row in conn.execute(select(table).where(where)).all():
        turn = Turn(row.role, row.start_ms, row.end_ms, row.text, None, row.words)
        words = words_of(turn)
        masked = masked_words(row.role, words, stretches)
        if masked != words:
            text = join_words(word.text for word in masked)
            conn.execute(update(table).where(table.c.id == row.id).values(text=text, words=masked))
            changed.append(row)
    return changed
