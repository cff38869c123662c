"""Marks and notes on calls as rows."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from callreel.domain.ids import CallId
from callreel.domain.note import NoteKind
from callreel.store.db.rows import fetch_all, fetch_one
from callreel.store.db.tables import notes


@dataclass(frozen=True, slots=True)
class NoteRow:
    """`by` is a person's name, `at` when it was written, `at_ms` the position in the call."""

    id: int
    call_id: CallId
    kind: NoteKind
    at_ms: int
    text: str = field(repr=False)
    by: str
    at: datetime


def add(
    conn: Connection, call_id: CallId, kind: NoteKind, at_ms: int, text: str, by: str, at: datetime
) -> NoteRow:
    values = {"call_id": call_id, "kind": kind, "at_ms": at_ms, "text": text, "by": by, "at": at}
    return fetch_all(conn, NoteRow, insert(notes).values(**values).returning(notes))[0]


def get(conn: Connection, call_id: CallId, note_id: int) -> NoteRow | None:
    """None also for a note of another call."""
    return fetch_one(conn, NoteRow, select(notes).where(notes.c.id == note_id, notes.c.call_id == call_id))


def of_call(conn: Connection, call_id: CallId) -> list[NoteRow]:
    """In the order of their positions."""
    query = select(notes).where(notes.c.call_id == call_id).order_by(notes.c.at_ms, notes.c.id)
    return fetch_all(conn, NoteRow, query)


def change(conn: Connection, note_id: int, at_ms: int, text: str) -> None:
    conn.execute(update(notes).where(notes.c.id == note_id).values(at_ms=at_ms, text=text))


def remove(conn: Connection, note_id: int) -> None:
    conn.execute(delete(notes).where(notes.c.id == note_id))


def counts(conn: Connection, call_ids: Iterable[CallId]) -> dict[CallId, int]:
    """The number of notes of each call; calls without any are left out."""
    query = select(notes.c.call_id, func.count()).where(notes.c.call_id.in_(list(call_ids)))
    return {CallId(call_id): count for call_id, count in conn.execute(query.group_by(notes.c.call_id))}
