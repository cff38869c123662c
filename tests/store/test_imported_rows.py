"""What imports ask of the rows, on each database: which orders are due, which recordings were erased, minutes stored."""

from datetime import timedelta

from callreel.domain.call import CallState, Direction, Role
from callreel.domain.ids import CallId, LegSid, RecordingSid
from callreel.domain.recording import CloudState
from callreel.domain.work import Workflow
from callreel.store.calls import calls, erasures, figures, legs, outbox, recordings
from callreel.store.calls.calls import CallRow
from callreel.store.calls.erasures import ErasureRow
from callreel.store.calls.legs import LegRow
from callreel.store.calls.recordings import RecordingRow
from callreel.store.db.database import Database
from tests.support.installation import NOON

MANY = outbox.MOST_IMPORTED + 3


def ended_calls(database: Database, number: int, *, imported: bool) -> None:
    with database.write() as conn:
        for n in range(number):
            call_id, leg = CallId(f"{imported:06x}{n:06x}"), LegSid(f"CA{imported:d}{n:031x}")
            at = NOON - timedelta(days=1)
            calls.insert(
                conn,
                CallRow(
                    call_id, Direction.OUTGOING, "ada", "+12125550123", leg, Role.AGENT, at, CallState.ENDED,
                    ended_at=at, imported=imported,
                ),
            )  # fmt: skip
            row = RecordingRow(
                RecordingSid(f"RE{imported:d}{n:031x}"), call_id, leg, CloudState.STORED, at, duration_s=61
            )
            recordings.upsert(conn, row)
            recordings.order_work(conn, row)
            legs.upsert(conn, LegRow(leg, call_id, Role.AGENT, "completed", None, at, at, 61))


def test_orders_of_imported_calls_are_limited_and_others_are_not(database: Database) -> None:
    ended_calls(database, MANY, imported=True)
    ended_calls(database, MANY, imported=False)
    with database.write() as conn:
        outbox.put(conn, CallId(f"{1:06x}{MANY - 1:06x}"), Workflow.REDACT, "a call", NOON)
    with database.read() as conn:
        due = outbox.due(conn, NOON)
        assert figures.minutes_at_carrier(conn) == 2 * 2 * MANY
    imported = [order for order in due if order.subject.startswith("RE1")]
    assert (len(imported), len(due)) == (outbox.MOST_IMPORTED, outbox.MOST_IMPORTED + MANY + 1)


def test_recordings_of_erased_calls_are_known(database: Database) -> None:
    erased = ErasureRow(
        CallId("1"),
        "ada",
        NOON,
        {"twilio_recordings/CA1_RE1.wav": "a"},
        recordings={"RE2": {"outcome": "kept"}},
    )
    with database.write() as conn:
        erasures.begin(conn, erased)
    with database.read() as conn:
        assert [erasures.names_recording(conn, sid) for sid in ("RE1", "RE2", "RE3")] == [True, True, False]


def test_price_is_saved_once(database: Database) -> None:
    ended_calls(database, 1, imported=True)
    sid, leg = RecordingSid(f"RE1{0:031x}"), LegSid(f"CA1{0:031x}")
    with database.write() as conn:
        assert legs.unpriced(conn, NOON - timedelta(days=2)) == {leg: (NOON - timedelta(days=1)).date()}
        assert [recordings.set_price(conn, sid, price, "USD") for price in (0.005, 9.0)] == [True, False]
        legs.set_price(conn, leg, 0.008, "USD")
        legs.set_price(conn, leg, 9.0, "USD")
        assert legs.unpriced(conn, NOON - timedelta(days=2)) == {}
    with database.read() as conn:
        found = recordings.get(conn, sid)
        (row,) = legs.of_call(conn, CallId(f"{1:06x}{0:06x}"))
    assert found is not None and (found.price, found.price_currency) == (0.005, "USD")
    assert (row.price, row.price_currency) == (0.008, "USD")
