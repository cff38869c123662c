"""Marks and notes, written during a call or later and published as live events."""

from collections.abc import Mapping

from sqlalchemy import Connection

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.errors import CallreelError
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.note import LONGEST_NOTE, MOST_NOTES, NoteKind
from callreel.review.summary import note_summary
from callreel.runtime.clock import Clock
from callreel.store.audit.pending import describe
from callreel.store.calls import expired, holds, notes
from callreel.store.calls.notes import NoteRow
from callreel.store.db.database import Database


class NoteError(CallreelError):
    """A note is too long or empty, or the call has too many."""


class OthersNoteError(CallreelError):
    """Only supervisors change other people's notes."""


class HeldNoteError(CallreelError):
    """Notes of a call on legal hold cannot be changed."""


class Notes:
    """Adds, changes and removes marks and notes. Blocking; safe from any thread."""

    def __init__(self, database: Database, publisher: EventPublisher, clock: Clock) -> None:
        self._database = database
        self._publisher = publisher
        self._clock = clock

    def add(self, call_id: CallId, kind: NoteKind, at_ms: int, text: str, by: str) -> NoteRow:
        """Add a note to an existing call. Raises NoteError, TextDeletedError."""
        text = _checked(kind, text)
        with self._database.write() as conn:
            if text:
                expired.refuse_text(conn, call_id)
            if notes.counts(conn, [call_id]).get(call_id, 0) >= MOST_NOTES:
                raise NoteError(f"a call has at most {MOST_NOTES} marks and notes")
            row = notes.add(conn, call_id, kind, at_ms, text, by, self._clock.now())
            describe(subject=str(row.id), kind=kind.value)
            event = self._record(conn, "added", row)
        self._publisher.publish(event)
        return row

    def change(
        self, call_id: CallId, note_id: int, at_ms: int | None, text: str | None, *, by: str, all_notes: bool
    ) -> NoteRow | None:
        """Change the given fields; None if there is no such note.

        Raises NoteError, OthersNoteError, HeldNoteError, TextDeletedError.
        """
        with self._database.write() as conn:
            if text:
                expired.refuse_text(conn, call_id)
            row = self._own(conn, call_id, note_id, by, all_notes)
            if row is None:
                return None
            kept = row.text if text is None else _checked(row.kind, text)
            notes.change(conn, note_id, row.at_ms if at_ms is None else at_ms, kept)
            changed = notes.get(conn, call_id, note_id)
            assert changed is not None
            event = self._record(conn, "changed", changed)
        self._publisher.publish(event)
        return changed

    def remove(self, call_id: CallId, note_id: int, *, by: str, all_notes: bool) -> bool:
        """Remove a note; False if there was none. Raises OthersNoteError, HeldNoteError."""
        with self._database.write() as conn:
            row = self._own(conn, call_id, note_id, by, all_notes)
            if row is None:
                return False
            notes.remove(conn, note_id)
            event = self._record(conn, "removed", row)
        self._publisher.publish(event)
        return True

    def _own(
        self, conn: Connection, call_id: CallId, note_id: int, by: str, all_notes: bool
    ) -> NoteRow | None:
        row = notes.get(conn, call_id, note_id)
        if row is not None and row.by != by and not all_notes:
            raise OthersNoteError("only its author or a supervisor can change a note")
        if row is not None and holds.current(conn, call_id) is not None:
            raise HeldNoteError("the call is on legal hold: its notes cannot be changed; add a new one")
        return row

    def _record(self, conn: Connection, change: str, row: NoteRow) -> LiveEvent:
        # Only the id of a removed note is published, so that the stored event does not keep its text.
        note: Mapping[str, Json] = {"id": row.id} if change == "removed" else note_summary(row)
        data: dict[str, Json] = {"change": change, "note": note}
        return self._publisher.record(conn, LiveEvent(row.call_id, EventKind.NOTE, data))


def _checked(kind: NoteKind, text: str) -> str:
    text = text.strip()
    if len(text) > LONGEST_NOTE:
        raise NoteError(f"a note has at most {LONGEST_NOTE} characters, got {len(text)}")
    if kind is NoteKind.NOTE and not text:
        raise NoteError("a note needs a text; only a mark may have none")
    return text
