import threading

import pytest
from sqlalchemy import delete

from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId, LegSid
from callreel.domain.transcript import TranscriptKind
from callreel.store.calls import live_events
from callreel.store.db.database import Database
from callreel.store.db.tables import live_events as event_table
from callreel.store.transcripts import transcripts
from tests.support.postgres import PostgresServer
from tests.support.rows import CALL, NOON, a_call

OTHER = CallId("ba9876543210")


@pytest.fixture
def two_calls(database: Database) -> Database:
    a_call(database)
    a_call(database, id=OTHER, leg_sid=LegSid("CAother"))
    return database


def test_reconnecting_listener_gets_later_events(two_calls: Database) -> None:
    with two_calls.write() as conn:
        said = [
            live_events.append(conn, LiveEvent(call_id, EventKind.FINAL, {"text": str(n)}), NOON)
            for n, call_id in enumerate([CALL.id, OTHER, CALL.id, CALL.id])
        ]
        ids = [event.id for event in said]
        assert ids == sorted(ids, key=lambda event_id: event_id or 0) and len(set(ids)) == 4
        assert said[0].id is not None
        assert live_events.after(conn, None, said[0].id, 10) == said[1:]
        assert live_events.after(conn, CALL.id, said[0].id, 10) == said[2:]
        assert live_events.after(conn, CALL.id, said[0].id, 1) == said[2:3]


def test_event_ids_are_never_reused(two_calls: Database) -> None:
    event = LiveEvent(CALL.id, EventKind.CALL, {"state": "live"})
    with two_calls.write() as conn:
        last = live_events.append(conn, event, NOON).id
        conn.execute(delete(event_table))
        following = live_events.append(conn, event, NOON).id
    assert last is not None and following is not None and following > last


def test_transient_event_is_refused(two_calls: Database) -> None:
    with pytest.raises(ValueError, match="partial event is transient"), two_calls.write() as conn:
        live_events.append(conn, LiveEvent(CALL.id, EventKind.PARTIAL), NOON)


def test_event_ids_become_visible_in_order(two_calls: Database) -> None:
    def insert() -> None:
        for _ in range(25):
            with two_calls.write() as conn:
                live_events.append(conn, LiveEvent(CALL.id, EventKind.FINAL), NOON)

    writers = [threading.Thread(target=insert) for _ in range(4)]
    for writer in writers:
        writer.start()
    received: list[int | None] = []
    while len(received) < 100 and (
        any(map(threading.Thread.is_alive, writers)) or waiting(two_calls, received)
    ):
        received += waiting(two_calls, received)
    for writer in writers:
        writer.join()
    assert len(received) == 100


def waiting(database: Database, received: list[int | None]) -> list[int | None]:
    with database.read() as conn:
        return [
            event.id
            for event in live_events.after(conn, CALL.id, (received[-1] or 0) if received else 0, 100)
        ]


def test_event_and_transcript_of_a_call_do_not_deadlock(store_server: PostgresServer) -> None:
    """On PostgreSQL, where one transaction locks events and the other the call."""
    database = Database.open(store_server.new_url())
    database.migrate()
    a_call(database)
    event = LiveEvent(CALL.id, EventKind.CALL, {"state": "live"})
    inserted = threading.Event()

    def another() -> None:
        with database.write() as conn:
            live_events.append(conn, event, NOON)
        inserted.set()

    with database.write() as conn:
        transcripts.put(conn, CALL.id, TranscriptKind.LIVE, "engine", "", [])
        threading.Thread(target=another).start()
        assert inserted.wait(20), "inserting an event must not wait for the row of its call"
        live_events.append(conn, event, NOON)
    database.close()
