"""Calls that were erased here, as rows: what is left of each is that it was, when it went, who wanted it, and digests."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, or_, select, update

from callreel.domain.call import CallState
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.store.dialect import insert_new
from callreel.store.tables import callbacks, calls, erasures


@dataclass(frozen=True, slots=True)
class ErasureRow:
    """`files` are the digests of what was erased, by path. `erased_at` None: begun, and to be gone on with."""

    call_id: CallId
    by: str
    began_at: datetime
    files: dict[str, Json]
    erased_at: datetime | None = None


def begin(conn: Connection, row: ErasureRow) -> bool:
    """Note that a call is to go; False when that was noted before."""
    return insert_new(conn, erasures, {column.name: getattr(row, column.name) for column in erasures.c})


def forget_call(conn: Connection, call_id: CallId, sids: Sequence[str], at: datetime) -> bool:
    """Delete the call's row and all that hangs on it, and the carrier's words about `sids`; whether there was a call."""
    if sids:
        conn.execute(delete(callbacks).where(or_(*(callbacks.c.key.contains(sid) for sid in sids))))
    there = conn.execute(delete(calls).where(calls.c.id == call_id)).rowcount == 1
    conn.execute(update(erasures).where(erasures.c.call_id == call_id).values(erased_at=at))
    return there


def everything(conn: Connection) -> list[ErasureRow]:
    """All of them, oldest first."""
    return [
        ErasureRow(**row._asdict()) for row in conn.execute(select(erasures).order_by(erasures.c.began_at))
    ]


def due(conn: Connection, closed_before: datetime) -> list[CallId]:
    """Calls that were judged before then, and those whose erasure was begun, oldest first."""
    query = (
        select(calls.c.id)
        .outerjoin(erasures, erasures.c.call_id == calls.c.id)
        .where(
            calls.c.state == CallState.CLOSED,
            (calls.c.closed_at < closed_before) | erasures.c.call_id.is_not(None),
        )
        .order_by(calls.c.closed_at)
    )
    return [CallId(row.id) for row in conn.execute(query)]
