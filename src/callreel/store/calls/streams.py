"""Media streams as rows: when each ran, its position in the call, and its counters."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from callreel.domain.events import Json
from callreel.domain.ids import CallId, LegSid, StreamSid
from callreel.store.db.dialect import insert_new
from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import EndedBy as EndedBy
from callreel.store.db.tables import streams


@dataclass(frozen=True, slots=True)
class StreamRow:
    """`origin_ms` is the position of the stream's timestamp 0 in the call; `counts` are frames, gaps and faults; `owner`
    is the process that has the socket.
    """

    sid: StreamSid
    call_id: CallId
    leg_sid: LegSid
    origin_ms: int
    started_at: datetime
    stopped_at: datetime | None = None
    ended_by: EndedBy | None = None
    counts: dict[str, Json] = field(default_factory=dict)
    owner: str | None = None


_OF_CALL = (
    select(streams)
    .where(streams.c.call_id == bindparam("call"))
    .order_by(streams.c.origin_ms, streams.c.started_at)
)
_FINISH = (
    update(streams)
    .where(streams.c.sid == bindparam("stream"), streams.c.ended_by.is_(None))
    .values(stopped_at=bindparam("at"), ended_by=bindparam("how"))
)
_FINISH_COUNTED = _FINISH.values(counts=bindparam("counted"))


def insert(conn: Connection, row: StreamRow) -> bool:
    """Save a new stream. False, and nothing changes, if it exists."""
    return insert_new(conn, streams, asdict(row))


def finish(
    conn: Connection, sid: StreamSid, stopped_at: datetime, ended_by: EndedBy, counts: Mapping[str, Json]
) -> bool:
    """End a stream, and return whether it was still open.

    The first `ended_by` stays. Given counts always replace the stored ones: the socket may close after the carrier's
    callback has ended the stream.
    """
    values: dict[str, Any] = {"stream": sid, "at": stopped_at, "how": ended_by}
    if counts:
        first = conn.execute(_FINISH_COUNTED, values | {"counted": dict(counts)})
    else:
        first = conn.execute(_FINISH, values)
    if first.rowcount == 1:
        return True
    if counts:
        conn.execute(update(streams).where(streams.c.sid == sid).values(counts=dict(counts)))
    return False


def of_call(conn: Connection, call_id: CallId) -> list[StreamRow]:
    """In the order in which they started."""
    return fetch_all(conn, StreamRow, _OF_CALL, {"call": call_id})


def open_streams(conn: Connection) -> list[StreamRow]:
    """Streams that have not ended: running ones, and those of a process that died."""
    query = select(streams).where(streams.c.ended_by.is_(None)).order_by(streams.c.started_at)
    return fetch_all(conn, StreamRow, query)


def owners_of_open(conn: Connection) -> set[str | None]:
    """The owners of the open streams."""
    return set(conn.execute(select(streams.c.owner).where(streams.c.ended_by.is_(None)).distinct()).scalars())
