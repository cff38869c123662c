from datetime import timedelta
from functools import reduce

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete

from callreel.domain.call import CallState
from callreel.domain.ids import RecordingSid
from callreel.domain.recording import CloudState, advance
from callreel.domain.transcript import TranscriptKind
from callreel.domain.work import Workflow, subject_of
from callreel.store.calls import calls, erasures, outbox, recordings
from callreel.store.calls.erasures import ErasureRow
from callreel.store.calls.recordings import DISPATCHABLE, RecordingRow
from callreel.store.db.database import Database
from callreel.store.db.tables import recordings as recording_table
from callreel.store.transcripts import transcripts
from tests.support.rows import CALL, NOON, PARENT, a_call, after

SID = RecordingSid("RE" + "1" * 32)


def known(row: RecordingRow | None) -> RecordingRow:
    assert row is not None
    return row


def ended(database: Database) -> None:
    with database.write() as conn:
        calls.set_state(conn, CALL.id, CallState.ENDED, NOON)


def test_reported_values_are_merged_and_never_lost(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        began, new = recordings.upsert(
            conn,
            RecordingRow(
                SID, CALL.id, PARENT, CloudState.IN_PROGRESS, NOON, carrier_status="in-progress", channels=2
            ),
        )
        assert new and began == recordings.get(conn, SID)
        done, new = recordings.upsert(
            conn, RecordingRow( SID, CALL.id, PARENT, CloudState.COMPLETED, after(60),
            carrier_status="completed", duration_s=58, started_at=NOON,
        ))  # fmt: skip
        assert new and done == recordings.get(conn, SID)
        assert (done.channels, done.duration_s, done.carrier_status, done.updated_at) == (
            2,
            58,
            "completed",
            after(60),
        )
        assert recordings.of_call(conn, CALL.id) == [done]


def test_repeated_report_changes_nothing(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        first, _ = recordings.upsert(
            conn, RecordingRow(SID, CALL.id, PARENT, CloudState.COMPLETED, NOON, duration_s=58)
        )
        again, new = recordings.upsert(
            conn, RecordingRow(SID, CALL.id, PARENT, CloudState.COMPLETED, after(9), duration_s=58)
        )
        assert not new and again == first == recordings.get(conn, SID)


def test_late_report_of_an_early_state_only_fills_gaps(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        recordings.upsert(
            conn,
            RecordingRow(
                SID, CALL.id, PARENT, CloudState.COMPLETED, NOON, carrier_status="completed", duration_s=58
            ),
        )
        row, new = recordings.upsert(
            conn, RecordingRow( SID, CALL.id, PARENT, CloudState.IN_PROGRESS, after(1),
            carrier_status="in-progress", duration_s=0, source="StartCallRecordingTwiML",
        ))  # fmt: skip
    assert not new
    assert (row.state, row.carrier_status, row.duration_s) == (CloudState.COMPLETED, "completed", 58)
    assert row.source == "StartCallRecordingTwiML"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(CloudState), st.booleans()), min_size=1, max_size=6))
def test_states_follow_the_rules_of_the_domain(
    database: Database, reports: list[tuple[CloudState, bool]]
) -> None:
    with database.write() as conn:
        calls.insert(conn, CALL)
        conn.execute(delete(recording_table))
        recordings.upsert(conn, RecordingRow(SID, CALL.id, PARENT, CloudState.EXPECTED, NOON))
        for state, ours in reports:
            if ours:
                recordings.set_state(conn, SID, state, NOON)
            else:
                recordings.upsert(conn, RecordingRow(SID, CALL.id, PARENT, state, NOON))
        row = known(recordings.get(conn, SID))
    assert row.state is reduce(advance, (state for state, _ in reports), CloudState.EXPECTED)


def orders(conn: Connection) -> list[tuple[Workflow, str]]:
    return [(order.workflow, order.subject) for order in outbox.all_orders(conn)]


def test_settled_recording_orders_its_workflow_once(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        for number, state in enumerate(CloudState):
            for _ in range(2):
                recordings.upsert(
                    conn,
                    recordings.RecordingRow(
                        RecordingSid(f"RE{number}"), CALL.id, PARENT, state, after(number)
                    ),
                )
        states = {f"RE{number}": state for number, state in enumerate(CloudState)}
        ordered = {states[subject]: workflow for workflow, subject in orders(conn)}
        assert len(orders(conn)) == len(ordered)
        assert ordered == {
            CloudState.COMPLETED: Workflow.DOWNLOAD,
            **dict.fromkeys(
                (CloudState.ABSENT, CloudState.FAILED, CloudState.MISSING), Workflow.NO_RECORDING
            ),
        }
        assert set(ordered) == set(DISPATCHABLE)


def test_late_recording_replaces_the_pending_order(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        recordings.upsert(conn, recordings.RecordingRow(SID, CALL.id, PARENT, CloudState.MISSING, NOON))
        [first] = outbox.all_orders(conn)
        _, new = recordings.upsert(
            conn, recordings.RecordingRow(SID, CALL.id, PARENT, CloudState.COMPLETED, after(2))
        )
        [second] = outbox.all_orders(conn)
    assert new and (second.workflow, second.subject) == (Workflow.DOWNLOAD, SID)
    assert second.key != first.key and {subject_of(second.key), subject_of(first.key)} == {SID}


def test_stored_recording_is_ordered_again_only_when_lost(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        recordings.upsert(conn, recordings.RecordingRow(SID, CALL.id, PARENT, CloudState.COMPLETED, NOON))
        [order] = outbox.all_orders(conn)
        outbox.remove(conn, order)
        assert recordings.set_state(conn, SID, CloudState.STORED, after(2))
        assert not recordings.set_state(conn, SID, CloudState.STORED, after(3))
        row, new = recordings.upsert(conn, RecordingRow(SID, CALL.id, PARENT, CloudState.COMPLETED, after(4)))
        assert (row.state, new) == (CloudState.STORED, False)
        assert orders(conn) == []
        assert recordings.download_again(conn, SID, after(5)) and not recordings.download_again(
            conn, SID, after(6)
        )
        assert orders(conn) == [(Workflow.DOWNLOAD, SID)]
        [again] = outbox.all_orders(conn)
    assert again.key != order.key, "else the engine would take it for done"


def test_only_a_parked_recording_has_a_failure(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        recordings.upsert(conn, recordings.RecordingRow(SID, CALL.id, PARENT, CloudState.COMPLETED, NOON))
        for reason in ("the carrier answered 503, 8 times", "the carrier answered 404, 8 times"):
            assert recordings.park(conn, SID, reason, after(1))
            row = known(recordings.get(conn, SID))
            assert (row.state, row.failure) == (CloudState.PARKED, reason)
        assert row.updated_at > NOON
        recordings.set_state(conn, SID, CloudState.STORED, after(2))
        assert known(recordings.get(conn, SID)).failure is None
        assert not recordings.park(conn, SID, "late", after(3))


def test_order_waits_for_call_end_and_live_transcript(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        recordings.upsert(conn, recordings.RecordingRow(SID, CALL.id, PARENT, CloudState.COMPLETED, NOON))
        assert outbox.due(conn, after(10_000)) == []
    ended(database)
    with database.write() as conn:
        assert outbox.due(conn, NOON - timedelta(seconds=1)) == []
        assert [order.subject for order in outbox.due(conn, NOON)] == [SID], "not waited for any longer"
        transcripts.put(conn, CALL.id, TranscriptKind.LIVE, "live", "", [])
        assert len(outbox.due(conn, NOON - timedelta(seconds=1))) == 1


def test_erasing_a_call_deletes_its_orders(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        recordings.upsert(conn, recordings.RecordingRow(SID, CALL.id, PARENT, CloudState.COMPLETED, NOON))
        erasures.begin(conn, ErasureRow(CALL.id, "ada", NOON, {}))
        erasures.delete_call(conn, CALL.id, [], {}, NOON)
        assert outbox.all_orders(conn) == []


def test_unjudged_calls_without_an_order_are_found(database: Database) -> None:
    a_call(database)
    ended(database)
    with database.write() as conn:
        recordings.upsert(conn, recordings.RecordingRow(SID, CALL.id, PARENT, CloudState.COMPLETED, NOON))
        assert recordings.unjudged(conn, after(60)) == [], "it is ordered"
        [order] = outbox.all_orders(conn)
        outbox.remove(conn, order)
        assert recordings.unjudged(conn, NOON) == [], "it may be worked on"
        assert [row.sid for row in recordings.unjudged(conn, after(60))] == [SID]
        calls.set_state(conn, CALL.id, CallState.CLOSED, after(9))
        assert recordings.unjudged(conn, after(60)) == []
