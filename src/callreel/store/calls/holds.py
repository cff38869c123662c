"""Legal holds as rows: who held a call, why, and who let it go. While one is open nothing of the call may be erased."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Select, insert, select, update

from callreel.domain.ids import CallId
from callreel.store.db.tables import holds


@dataclass(frozen=True, slots=True)
class HoldRow:
    """`released_at` None: the call is held."""

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
    values = {"call_id": call_id, "reason": reason, "by": by, "at": at}
    return HoldRow(**conn.execute(insert(holds).values(**values).returning(holds)).one()._asdict())


def release(conn: Connection, hold_id: int, reason: str, by: str, at: datetime) -> HoldRow:
    """Let a call go; the row stays."""
    values = {"release_reason": reason, "released_by": by, "released_at": at}
    changed = update(holds).where(holds.c.id == hold_id).values(**values).returning(holds)
    return HoldRow(**conn.execute(changed).one()._asdict())


def of_call(conn: Connection, call_id: CallId) -> list[HoldRow]:
    """All that there were, newest first."""
    query = select(holds).where(holds.c.call_id == call_id).order_by(holds.c.id.desc())
    return [HoldRow(**row._asdict()) for row in conn.execute(query)]


def current(conn: Connection, call_id: CallId) -> HoldRow | None:
    """The one that keeps the call now."""
    return next((row for row in of_call(conn, call_id) if row.released_at is None), None)


def held(conn: Connection, call_ids: Collection[CallId]) -> set[CallId]:
    """Which of these calls are held."""
    query = open_holds().where(holds.c.call_id.in_(list(call_ids)))
    return {CallId(row.call_id) for row in conn.execute(query)}


def all_current(conn: Connection) -> list[HoldRow]:
    """Every hold that is open, oldest first."""
    query = select(holds).where(holds.c.released_at.is_(None)).order_by(holds.c.id)
    return [HoldRow(**row._asdict()) for row in conn.execute(query)]


def open_holds() -> Select[tuple[str]]:
    """The ids of held calls, for queries that leave these out."""
    return select(holds.c.call_id).where(holds.c.released_at.is_(None))
