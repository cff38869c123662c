"""The final results of a live transcript, one for each segment, as they arrive. Rows never change."""

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select

from callreel.domain.ids import CallId
from callreel.domain.transcript import Final, Segment
from callreel.store.db.dialect import insert_new
from callreel.store.db.tables import finals

_OF_CALL = (
    select(finals)
    .where(finals.c.call_id == bindparam("call"))
    .order_by(finals.c.start_ms, finals.c.role, finals.c.number)
)


def put(conn: Connection, call_id: CallId, final: Final) -> bool:
    """Save a final result. False, and nothing changes, if its segment (call, role, number) has one."""
    values = {
        "call_id": call_id,
        **asdict(final.segment),
        "text": final.text,
        "words": final.words,
        "failed": final.failed,
        "fallback_engine": final.fallback_engine,
    }
    return insert_new(conn, finals, values)


def of_call(conn: Connection, call_id: CallId) -> list[Final]:
    """In the order in which they were spoken."""
    return [_final(row) for row in conn.execute(_OF_CALL, {"call": call_id})]


def newest(conn: Connection, call_ids: Collection[CallId]) -> dict[CallId, Final]:
    """The last result of each call, in the order in which they were stored; calls whose last one has no words are left out."""
    mine = finals.c.call_id.in_(list(call_ids)), finals.c.failed.is_(False)
    last = select(func.max(finals.c.id)).where(*mine).group_by(finals.c.call_id)
    rows = conn.execute(select(finals).where(finals.c.id.in_(last)))
    return {CallId(row.call_id): final for row in rows if (final := _final(row)).words}


def count(conn: Connection, call_id: CallId) -> int:
    """The number of a call's final results."""
    return int(conn.execute(select(func.count()).where(finals.c.call_id == call_id)).scalar_one())


def _final(row: Row[Any]) -> Final:
    segment = Segment(row.role, row.number, row.start_ms, row.end_ms)
    return Final(segment, row.words, row.failed, row.fallback_engine)
