"""Legal holds as rows: who held a call and why, and who released it. While one is open, nothing of the call may be erased."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Select, insert, select, update

from callreel.domain.ids import CallId
from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import holds


@dataclass(frozen=True, slots=True)
class HoldRow:
    """`released_at` is None while the call is held."""

    id: int
    call_id: CallId
    reason: str = field(repr=False)
    by: str
    at: datetime
    release_reason: str | None = field(default=None, repr=False)
    released_by: str | None = None
    released_at: datetime | None = None


def add(conn: Connection, call_id: CallId, reason: str, by: str, at: datetime) -> HoldRow:
    """Hold a call."""
    new = insert(holds).values(call_id=call_id, reason=reason, by=by, at=at).returning(holds)
    return fetch_all(conn, HoldRow, new)[0]


def release(conn: Connection, hold_id: int, reason: str, by: str, at: datetime) -> HoldRow:
    """End a hold; the row stays."""
    values = {"release_reason": reason, "released_by": by, "released_at": at}
    return fetch_all(
        conn, HoldRow, update(holds).where(holds.c.id == hold_id).values(**values).returning(holds)
    )[0]


def of_call(conn: Connection, call_id: CallId) -> list[HoldRow]:
    """All holds of the call, newest first."""
    return fetch_all(
        conn, HoldRow, select(holds).where(holds.c.call_id == call_id).order_by(holds.c.id.desc())
    )


def current(conn: Connection, call_id: CallId) -> HoldRow | None:
    """The open hold."""
    return next((row for row in of_call(conn, call_id) if row.released_at is None), None)


def held(conn: Connection, call_ids: Collection[CallId]) -> set[CallId]:
    """Which of these calls are held."""
    query = open_holds().where(holds.c.call_id.in_(list(call_ids)))
    return {CallId(row.call_id) for row in conn.execute(query)}


def all_current(conn: Connection) -> list[HoldRow]:
    """All open holds, oldest first."""
    return fetch_all(conn, HoldRow, select(holds).where(holds.c.released_at.is_(None)).order_by(holds.c.id))


def open_holds() -> Select[tuple[str]]:
    """The ids of held calls, as a subquery."""
    return select(holds.c.call_id).where(holds.c.released_at.is_(None))
