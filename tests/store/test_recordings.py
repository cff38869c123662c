from functools import reduce

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from callreel.domain.call import CallState
from callreel.domain.ids import RecordingSid
from callreel.domain.recording import CloudState, advance
from callreel.store.calls import calls, recordings
from callreel.store.calls.recordings import DISPATCHABLE, RecordingRow
from callreel.store.db.database import Database
from callreel.store.db.tables import recordings as recording_table
from tests.support.rows import CALL, NOON, PARENT, a_call, after

SID = RecordingSid("RE" + "1" * 32)


def known(row: RecordingRow | None) -> RecordingRow:
    assert row is not None
    return row


def ended(database: Database) -> None:
    with database.write() as conn:
        calls.set_state(conn, CALL.id, CallState.ENDED, NOON)


def test_what_was_told_is_kept_and_not_forgotten(database: Database) -> None:
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
            carrier_status="completed", duration_s=58, url="https://api.example/RE1", started_at=NOON,
        ))  # fmt: skip
        assert new and done == recordings.get(conn, SID)
        assert (done.channels, done.duration_s, done.carrier_status, done.updated_at) == (
            2,
            58,
            "completed",
            after(60),
        )
        assert recordings.of_call(conn, CALL.id) == [done]
    assert "api.example" not in repr(done)


def test_a_callback_that_repeats_changes_nothing(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        first, _ = recordings.upsert(
            conn, RecordingRow(SID, CALL.id, PARENT, CloudState.COMPLETED, NOON, duration_s=58)
        )
        again, new = recordings.upsert(
            conn, RecordingRow(SID, CALL.id, PARENT, CloudState.COMPLETED, after(9), duration_s=58)
        )
        assert not new and again == first == recordings.get(conn, SID)


def test_an_early_word_that_comes_late_only_fills_in(database: Database) -> None:
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
def test_states_follow_the_domain_whoever_tells_them(
    database: Database, told: list[tuple[CloudState, bool]]
) -> None:
    with database.write() as conn:
        calls.insert(conn, CALL)
        conn.execute(delete(recording_table))
        recordings.upsert(conn, RecordingRow(SID, CALL.id, PARENT, CloudState.EXPECTED, NOON))
        for state, ours in told:
            if ours:
                recordings.set_state(conn, SID, state, NOON)
            else:
                recordings.upsert(conn, RecordingRow(SID, CALL.id, PARENT, state, NOON))
        row = known(recordings.get(conn, SID))
    assert row.state is reduce(advance, (state for state, _ in told), CloudState.EXPECTED)


def test_each_is_dispatched_once_when_its_stages_can_run(database: Database) -> None:
    a_call(database)
    ended(database)
    with database.write() as conn:
        for number, state in enumerate(CloudState):
            recordings.upsert(
                conn, RecordingRow(RecordingSid(f"RE{number}"), CALL.id, PARENT, state, after(number))
            )
        waiting = recordings.undispatched(conn)
        assert {row.state for row in waiting} == {*DISPATCHABLE, CloudState.STORED}
        assert [row.updated_at for row in waiting] == sorted(row.updated_at for row in waiting)
        assert recordings.mark_dispatched(conn, waiting[0].sid, after(99))
        assert not recordings.mark_dispatched(conn, waiting[0].sid, after(100))
        assert recordings.undispatched(conn) == waiting[1:]
        assert known(recordings.get(conn, waiting[0].sid)).dispatched_at == after(99)


def test_a_recording_that_turns_up_after_all_is_dispatched_again(database: Database) -> None:
    a_call(database)
    ended(database)
    with database.write() as conn:
        recordings.upsert(conn, RecordingRow(SID, CALL.id, PARENT, CloudState.MISSING, NOON))
        recordings.mark_dispatched(conn, SID, after(1))
        row, new = recordings.upsert(conn, RecordingRow(SID, CALL.id, PARENT, CloudState.COMPLETED, after(2)))
        assert new and recordings.undispatched(conn) == [row]


def test_what_we_stored_is_not_dispatched_again(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        recordings.upsert(conn, RecordingRow(SID, CALL.id, PARENT, CloudState.COMPLETED, NOON))
        recordings.mark_dispatched(conn, SID, after(1))
        assert recordings.set_state(conn, SID, CloudState.STORED, after(2))
        assert not recordings.set_state(conn, SID, CloudState.STORED, after(3))
        row, new = recordings.upsert(conn, RecordingRow(SID, CALL.id, PARENT, CloudState.COMPLETED, after(4)))
        assert (row.state, new) == (CloudState.STORED, False)
        assert recordings.undispatched(conn) == []


def test_attempts_count_within_a_stage(database: Database) -> None:
    a_call(database)
    with database.write() as conn:
        recordings.upsert(conn, RecordingRow(SID, CALL.id, PARENT, CloudState.COMPLETED, NOON))
        seen = []
        for stage, error in [
            ("fetch", None),
            ("fetch", "404"),
            ("fetch", None),
            ("fetch", None),
            ("split", None),
        ]:
            recordings.set_stage(conn, SID, stage, error)
            row = known(recordings.get(conn, SID))
            seen.append((row.stage, row.stage_error, row.attempts))
        assert row.updated_at > NOON
    assert seen == [
        ("fetch", None, 1),
        ("fetch", "404", 1),
        ("fetch", None, 2),
        ("fetch", None, 3),
        ("split", None, 1),
    ]


def test_what_is_stuck_begins_anew_once_or_is_left_as_it_is(database: Database) -> None:
    a_call(database)
    ended(database)
    with database.write() as conn:
        recordings.upsert(conn, RecordingRow(SID, CALL.id, PARENT, CloudState.STORED, NOON))
        recordings.mark_dispatched(conn, SID, NOON)
        assert recordings.stuck(conn) == [] and not recordings.retry(conn, SID, after(1))
        recordings.set_stage(conn, SID, "transcribe", "the engine died")
        assert [row.sid for row in recordings.stuck(conn)] == [SID]
        assert recordings.retry(conn, SID, after(2)) and not recordings.retry(conn, SID, after(3))
        (row,) = recordings.undispatched(conn)
        assert (row.state, row.retries, row.stage_error) == (CloudState.STORED, 1, None)
        recordings.mark_dispatched(conn, SID, after(4))
        recordings.set_stage(conn, SID, "transcribe", "again")
        assert recordings.skip(conn, SID, after(5))
        assert recordings.stuck(conn) == [] and not recordings.retry(conn, SID, after(6))
