"""Labels of the team, and which call has which, as rows."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from callreel.domain.errors import StoreError
from callreel.domain.ids import CallId
from callreel.domain.label import LabelColor
from callreel.store.db.dialect import advisory_lock, insert_new
from callreel.store.db.rows import fetch_all, fetch_one
from callreel.store.db.tables import call_labels, calls, labels

_LABELS_LOCK = 0x0CA11_1ABE


class LabelTakenError(StoreError):
    """Another label has this name."""


@dataclass(frozen=True, slots=True)
class LabelRow:
    """Two names never differ in case alone."""

    id: int
    name: str
    color: LabelColor


def lock(conn: Connection) -> None:
    """Let one transaction at a time change the list of labels."""
    advisory_lock(conn, _LABELS_LOCK)


def add(conn: Connection, name: str, color: LabelColor) -> LabelRow:
    """Raises LabelTakenError."""
    _refuse_taken(conn, name, None)
    return fetch_all(conn, LabelRow, insert(labels).values(name=name, color=color).returning(labels))[0]


def change(
    conn: Connection, label_id: int, *, name: str | None = None, color: LabelColor | None = None
) -> LabelRow | None:
    """Change what is given; None if the id is unknown. Raises LabelTakenError."""
    if name is not None:
        _refuse_taken(conn, name, label_id)
    given = {key: value for key, value in (("name", name), ("color", color)) if value is not None}
    if given:
        conn.execute(update(labels).where(labels.c.id == label_id).values(**given))
    return get(conn, label_id)


def remove(conn: Connection, label_id: int) -> int:
    """Delete a label, also from its calls; returns how many had it."""
    mine = call_labels.c.label_id == label_id
    count = conn.execute(select(func.count()).select_from(call_labels).where(mine)).scalar_one()
    conn.execute(delete(labels).where(labels.c.id == label_id))
    return count


def get(conn: Connection, label_id: int) -> LabelRow | None:
    return fetch_one(conn, LabelRow, select(labels).where(labels.c.id == label_id))


def all_labels(conn: Connection) -> list[LabelRow]:
    """By name."""
    return _by_name(fetch_all(conn, LabelRow, select(labels)))


def counts(conn: Connection, own: str | None = None) -> dict[int, int]:
    """The number of calls of each label, with `own` of those of this agent; labels without any are left out."""
    query = select(call_labels.c.label_id, func.count()).group_by(call_labels.c.label_id)
    if own is not None:
        query = query.join(calls, calls.c.id == call_labels.c.call_id).where(calls.c.agent == own)
    return {label_id: count for label_id, count in conn.execute(query)}


def attach(conn: Connection, call_id: CallId, label_id: int, by: str, at: datetime) -> bool:
    """Give an existing call a label; False if it has it already."""
    began = conn.execute(select(calls.c.created_at).where(calls.c.id == call_id)).scalar_one()
    values = {"call_id": call_id, "label_id": label_id, "created_at": began, "by": by, "at": at}
    return insert_new(conn, call_labels, values)


def detach(conn: Connection, call_id: CallId, label_id: int) -> bool:
    """Take a label from a call; False if it did not have it."""
    mine = call_labels.c.call_id == call_id, call_labels.c.label_id == label_id
    return conn.execute(delete(call_labels).where(*mine)).rowcount == 1


def of_calls(conn: Connection, call_ids: Collection[CallId]) -> dict[CallId, list[LabelRow]]:
    """The labels of each call, by name; calls without any are left out."""
    query = (
        select(call_labels.c.call_id, labels)
        .join(labels, labels.c.id == call_labels.c.label_id)
        .where(call_labels.c.call_id.in_(list(call_ids)))
    )
    found: dict[CallId, list[LabelRow]] = {}
    for row in conn.execute(query):
        found.setdefault(CallId(row.call_id), []).append(LabelRow(row.id, row.name, row.color))
    return {call_id: _by_name(rows) for call_id, rows in found.items()}


def names(conn: Connection) -> dict[CallId, set[str]]:
    """The names of the labels of every call that has any."""
    query = select(call_labels.c.call_id, labels.c.name).join(labels, labels.c.id == call_labels.c.label_id)
    found: dict[CallId, set[str]] = {}
    for call_id, name in conn.execute(query):
        found.setdefault(CallId(call_id), set()).add(name)
    return found


def labeled(label_id: int) -> Select[tuple[str]]:
    """The ids of calls with a label, as a subquery."""
    return select(call_labels.c.call_id).where(call_labels.c.label_id == label_id)


def _by_name(rows: Iterable[LabelRow]) -> list[LabelRow]:
    return sorted(rows, key=lambda row: (row.name.casefold(), row.id))


def _refuse_taken(conn: Connection, name: str, but: int | None) -> None:
    lock(conn)
    for row in all_labels(conn):
        if row.name.casefold() == name.casefold() and row.id != but:
            raise LabelTakenError(f"there is a label {row.name} already")
