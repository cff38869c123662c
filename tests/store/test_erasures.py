"""Erasures and holds as rows, on both databases. What erasing does is in tests/retention/test_erasure.py."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from callreel.cluster.event_bus import EventBus
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.call import CallState, Role
from callreel.domain.errors import CallreelError
from callreel.domain.ids import CallId, LegSid
from callreel.domain.transcript import TranscriptKind, Turn, Word
from callreel.retention.erasure_orders import ErasureOrders
from callreel.retention.legal_hold import LegalHolds
from callreel.runtime.clock import Clock
from callreel.store.calls import callbacks, calls, erasures, facts, holds
from callreel.store.calls.erasures import ErasureRow
from callreel.store.db.database import Database
from callreel.store.transcripts import transcripts
from tests.support.rows import CALL, NOON, PARENT, a_call

OTHER = CallId("another")
SAID = Turn(Role.AGENT, 0, 500, "good morning", 0.5, (Word("good", 0, 200), Word("morning", 200, 500)))


def closed_calls(database: Database) -> None:
    """Two calls that were judged, one with words."""
    a_call(database)
    a_call(database, id=OTHER, leg_sid=LegSid("CAanother"))
    with database.write() as conn:
        transcripts.put(conn, CALL.id, TranscriptKind.FINAL, "engine", "", (SAID,))
        for call_id in (CALL.id, OTHER):
            calls.set_state(conn, call_id, CallState.CLOSED, NOON)


def test_erasure_counts_and_deletes_rows_and_callbacks(database: Database) -> None:
    closed_calls(database)
    with database.write() as conn:
        callbacks.insert(conn, "recording", f"{PARENT}:completed", {"From": CALL.remote_number}, NOON)
        facts.note(conn, "status_of_unknown_call", {"From": CALL.remote_number}, NOON, leg_sid=PARENT)
        counts = erasures.counts(conn, CALL.id)
        assert {"transcripts": 1, "turns": 1}.items() <= counts.items()
        assert "notes" not in counts and "turns" not in erasures.counts(conn, OTHER)
        erasures.begin(conn, ErasureRow(CALL.id, "ada", NOON, {"a.wav": "0" * 64}))
        assert erasures.delete_call(conn, CALL.id, [PARENT], counts, NOON)
        assert calls.get(conn, CALL.id) is None and calls.get(conn, OTHER) is not None
        for table in ("callbacks", "facts", "transcripts", "turns"):
            assert conn.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() == 0, table
        done = erasures.get(conn, CALL.id)
        assert done is not None and (done.erased_at, done.counts) == (NOON, counts)


def test_requested_erasure_is_in_progress_and_listed_first(database: Database) -> None:
    later = NOON + timedelta(minutes=1)
    closed_calls(database)
    with database.write() as conn:
        holds.add(conn, OTHER, "case 17", "sam", NOON)
        assert holds.held(conn, [CALL.id, OTHER]) == {OTHER}
        erasures.begin(conn, ErasureRow(CallId("gone"), "ada", later, {}, later))
        erasures.begin(conn, ErasureRow(CALL.id, "ada", NOON, {}))
        assert erasures.in_progress(conn, [CALL.id, OTHER]) == {CALL.id}
        erasures.repeat_request(conn, CALL.id, at_carrier=False)
        again = erasures.get(conn, CALL.id)
        assert again is not None and again.at_carrier is False
        assert [row.call_id for row in erasures.newest(conn)] == [CALL.id, "gone"]


def test_concurrent_hold_and_erasure_exclude_each_other(database: Database) -> None:
    closed_calls(database)
    bus, clock = EventBus(), Clock()
    holding, orders = (
        LegalHolds(database, EventPublisher(database, bus, clock), clock),
        ErasureOrders(database, clock, carrier_usable=True),
    )

    def tried(ask: int) -> bool:
        try:
            _ = holding.hold(CALL.id, "case", "sam") if ask % 2 else orders.request(CALL.id, "ada")
        except CallreelError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(tried, range(16)))
    with database.read() as conn:
        held, erasing = holds.held(conn, [CALL.id]), erasures.in_progress(conn, [CALL.id])
    assert len(held) + len(erasing) == 1
    bus.close()
