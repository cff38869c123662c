"""Media streams as rows: when each ran, where it lies in the call, and what was counted on it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from callreel.domain.events import Json
from callreel.domain.ids import CallId, LegSid, StreamSid
from callreel.store.db.dialect import insert_new
from callreel.store.db.tables import EndedBy as EndedBy
from callreel.store.db.tables import streams


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A stream. `origin_ms` is the position of its timestamp 0 in the call; `counts` are frames, gaps and faults.

    `owner` is the process that has its socket.
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
    """Keep a new stream. False, and nothing changes, if it is known already."""
    return insert_new(conn, streams, asdict(row))


def finish(
    conn: Connection, sid: StreamSid, stopped_at: datetime, ended_by: EndedBy, counts: Mapping[str, Json]
) -> bool:
    """End a stream; whether this was the first word of its end.

    The first `ended_by` stays. Counts are replaced where given, since the socket's own end may come after the
    carrier's word of it.
    """
    told: dict[str, Any] = {"stream": sid, "at": stopped_at, "how": ended_by}
    if counts:
        first = conn.execute(_FINISH_COUNTED, told | {"counted": dict(counts)})
    else:
        first = conn.execute(_FINISH, told)
    if first.rowcount == 1:
        return True
    if counts:
        conn.execute(update(streams).where(streams.c.sid == sid).values(counts=dict(counts)))
    return False


def get(conn: Connection, sid: StreamSid) -> StreamRow | None:
    found = conn.execute(select(streams).where(streams.c.sid == sid)).first()
    return None if found is None else _row(found)


def of_call(conn: Connection, call_id: CallId) -> list[StreamRow]:
    """In the order in which they began."""
    return [_row(found) for found in conn.execute(_OF_CALL, {"call": call_id})]


def open_streams(conn: Connection) -> list[StreamRow]:
    """Streams that nobody ended: running ones, and those of a process that died."""
    query = select(streams).where(streams.c.ended_by.is_(None)).order_by(streams.c.started_at)
    return [_row(found) for found in conn.execute(query)]


def owners_of_open(conn: Connection) -> set[str | None]:
    """The processes of those."""
    return set(conn.execute(select(streams.c.owner).where(streams.c.ended_by.is_(None)).distinct()).scalars())


def _row(found: Row[Any]) -> StreamRow:
    return StreamRow(**found._asdict())
