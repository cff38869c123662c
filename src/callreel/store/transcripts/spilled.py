"""Closed segments that wait for an engine, while there are too many of them for memory. Their audio is in layer 2.

A row goes in the transaction that keeps its segment's final, so that each has exactly one, whatever dies.
"""

from collections.abc import Collection
from dataclasses import asdict

from sqlalchemy import Connection, and_, delete, func, select

from callreel.domain.call import CallState
from callreel.domain.ids import CallId
from callreel.domain.transcript import Segment
from callreel.store.db.dialect import insert_new
from callreel.store.db.tables import calls
from callreel.store.db.tables import spilled_segments as spilled


def put(conn: Connection, call_id: CallId, segment: Segment) -> bool:
    """False if it is there."""
    return insert_new(conn, spilled, {"call_id": call_id, **asdict(segment)})


def remove(conn: Connection, call_id: CallId, segment: Segment) -> bool:
    """Whether it was there."""
    mine = and_(
        spilled.c.call_id == call_id, spilled.c.role == segment.role, spilled.c.number == segment.number
    )
    return conn.execute(delete(spilled).where(mine)).rowcount > 0


def oldest(
    conn: Connection, of: Collection[CallId], without: Collection[int] = ()
) -> tuple[int, CallId, Segment, bool] | None:
    """The one that has waited longest, of the calls `of` and of those that are not live any more.

    Its id, which is none of `without`, its call, and whether that is still live.
    """
    query = select(spilled, calls.c.state).join(calls, calls.c.id == spilled.c.call_id)
    query = query.where((calls.c.state != CallState.LIVE) | calls.c.id.in_(of))
    query = query.where(spilled.c.id.not_in(without)).order_by(spilled.c.id).limit(1)
    row = conn.execute(query).first()
    if row is None:
        return None
    segment = Segment(row.role, row.number, row.start_ms, row.end_ms)
    return row.id, CallId(row.call_id), segment, row.state == CallState.LIVE


def count(conn: Connection, call_id: CallId | None = None) -> int:
    """How many there are, of one call or of all."""
    query = select(func.count()).select_from(spilled)
    if call_id is not None:
        query = query.where(spilled.c.call_id == call_id)
    return int(conn.execute(query).scalar_one())
