"""Closed segments that wait for an engine while memory holds no more of them. Their audio is in layer 2.

The transaction that saves a segment's final result deletes its row, so that each segment gets exactly one result even
if a process dies.
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
    """Save a segment; False if it is saved already."""
    return insert_new(conn, spilled, {"call_id": call_id, **asdict(segment)})


def remove(conn: Connection, call_id: CallId, segment: Segment) -> bool:
    """Delete a segment; False if there was none."""
    mine = and_(
        spilled.c.call_id == call_id, spilled.c.role == segment.role, spilled.c.number == segment.number
    )
    return conn.execute(delete(spilled).where(mine)).rowcount > 0


def oldest(
    conn: Connection, of: Collection[CallId], without: Collection[int] = ()
) -> tuple[int, CallId, Segment, bool] | None:
    """The segment that has waited longest, of the calls `of` and of all calls that are not live any more.

    Returns its id, which is none of `without`, its call, the segment, and whether the call is live.
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
    """The number of waiting segments, of one call or of all."""
    query = select(func.count()).select_from(spilled)
    if call_id is not None:
        query = query.where(spilled.c.call_id == call_id)
    return int(conn.execute(query).scalar_one())
