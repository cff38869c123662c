from dataclasses import replace

from callreel.domain.ids import StreamSid
from callreel.store.calls import streams
from callreel.store.calls.streams import EndedBy, StreamRow
from callreel.store.db.database import Database
from tests.support.rows import CALL, NOON, PARENT, a_call, after

FIRST = StreamRow(StreamSid("MZ1"), CALL.id, PARENT, origin_ms=0, started_at=NOON)
SECOND = StreamRow(StreamSid("MZ2"), CALL.id, PARENT, origin_ms=30_000, started_at=after(30))


def test_streams_of_a_call_are_in_order(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        assert streams.insert(conn, SECOND)
        assert streams.insert(conn, FIRST)
        assert not streams.insert(conn, replace(FIRST, origin_ms=7))
        assert streams.of_call(conn, CALL.id) == [FIRST, SECOND]
        assert streams.open_streams(conn) == [FIRST, SECOND]


def test_first_end_of_a_stream_stays_and_counts_may_follow(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        streams.insert(conn, FIRST)
        assert streams.finish(conn, FIRST.sid, after(10), EndedBy.STATUS, {})
        assert not streams.finish(conn, FIRST.sid, after(11), EndedBy.SOCKET, {"frames": 500, "gaps_ms": 40})
        assert not streams.finish(conn, FIRST.sid, after(12), EndedBy.STOP, {})
        ended = replace(
            FIRST, stopped_at=after(10), ended_by=EndedBy.STATUS, counts={"frames": 500, "gaps_ms": 40}
        )
        assert streams.of_call(conn, CALL.id) == [ended]
        assert streams.open_streams(conn) == []
