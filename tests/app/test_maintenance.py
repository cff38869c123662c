from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from callreel.app.maintenance import NO_VERDICT, MaintenanceJobs
from callreel.domain.call import CallState
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.recording import CloudState
from callreel.postcall.carrier_inventory import CarrierList
from callreel.postcall.dispatcher import FETCH_WORKFLOW, recording_of, workflow_key
from callreel.postcall.durable import workflow_id
from callreel.retention.carrier_deletion import Deletion
from callreel.runtime.retry import MOST_RETRIES
from callreel.store.calls import calls, recordings
from callreel.store.calls.recordings import RecordingRow
from tests.support.installation import NOON, Installation, leg
from tests.support.recorded_call import SID, Recorded, recorded_call

ROW = RecordingRow(SID, CallId("000000000001"), leg(1), CloudState.PARKED, NOON)


@pytest.fixture
def recorded(installation: Installation) -> Iterator[Recorded]:
    with recorded_call(installation) as made:
        yield made


def upkeep(recorded: Recorded, *working: str) -> MaintenanceJobs:
    installation = recorded.installation
    listing = CarrierList(installation.database, installation.publisher, recorded.carrier, installation.clock)
    deletion = Deletion(
        installation.database, installation.blobs, recorded.carrier, installation.clock, after_days=None
    )
    return MaintenanceJobs(
        installation.database,
        installation.clock,
        listing,
        deletion,
        unfinished=lambda: set(working),
        days=3,
        usable=True,
    )


def park(recorded: Recorded, retries: int = 0, **when: float) -> None:
    retry_at = recorded.installation.clock.now() + timedelta(**when) if when else None
    with recorded.installation.database.write() as conn:
        recordings.set_state(conn, SID, CloudState.PARKED, recorded.installation.clock.now())
        recordings.set_stage(conn, SID, "fetch", "the carrier answered 503, 8 times", retry_at)
        conn.exec_driver_sql(f"UPDATE recordings SET retries = {retries}")


def test_what_is_parked_begins_again_by_itself_a_minute_later(recorded: Recorded) -> None:
    park(recorded)
    work = upkeep(recorded)
    assert work.retry_parked() == 0
    planned = recorded.recording().retry_at
    began = recorded.installation.clock.now()
    assert planned is not None and 60 <= (planned - began).total_seconds() <= 72
    recorded.installation.clock.step(59)
    assert work.retry_parked() == 0 and recorded.recording().retry_at == planned
    recorded.installation.clock.step(13)
    assert work.retry_parked() == 1
    row = recorded.recording()
    assert (row.state, row.retries, row.retry_at, row.dispatched_at) == (CloudState.COMPLETED, 1, None, None)
    assert work.retry_parked() == 0


def test_what_the_carrier_asked_to_wait_is_kept_to(recorded: Recorded) -> None:
    park(recorded, hours=1)
    work = upkeep(recorded)
    recorded.installation.clock.step(3_599)
    assert work.retry_parked() == 0
    recorded.installation.clock.step(1)
    assert work.retry_parked() == 1


def test_after_many_times_only_a_person_begins_it_again(recorded: Recorded) -> None:
    park(recorded, MOST_RETRIES)
    work = upkeep(recorded)
    work.retry_parked()
    recorded.installation.clock.step(30 * 86_400)
    assert work.retry_parked() == 0 and recorded.recording().retry_at is None
    with recorded.installation.database.write() as conn:
        assert recordings.retry(conn, SID, NOON)


def begin(recorded: Recorded) -> None:
    with recorded.installation.database.write() as conn:
        recordings.mark_dispatched(conn, SID, recorded.installation.clock.now())


def test_work_that_ended_without_a_verdict_is_parked_and_begins_again(recorded: Recorded) -> None:
    """The durable engine gave it up: nobody would ever have looked at that call again."""
    begin(recorded)
    assert upkeep(recorded, workflow_id(FETCH_WORKFLOW, SID)).park_unjudged() == 0, "it is worked on"
    lost = upkeep(recorded, workflow_id(FETCH_WORKFLOW, "RE" + "2" * 32))
    assert lost.park_unjudged() == 1
    assert recorded.recording().stage_error == NO_VERDICT
    assert lost.park_unjudged() == 0
    lost.review_rows()
    recorded.installation.clock.step(75)
    lost.review_rows()
    assert recorded.recording().retries == 1 and recorded.recording().dispatched_at is None


def test_a_judged_call_is_left_alone(recorded: Recorded) -> None:
    begin(recorded)
    with recorded.installation.database.write() as conn:
        recordings.set_state(conn, SID, CloudState.STORED, NOON)
        calls.set_state(conn, recorded.call_id, CallState.CLOSED, NOON)
    assert upkeep(recorded).park_unjudged() == 0


def test_each_retry_is_a_run_of_its_own_of_the_same_recording() -> None:
    keys = [workflow_key(replace(ROW, retries=number)) for number in range(3)]
    assert len(set(keys)) == 3 and keys[0] == SID, "the first is what it was before retries were known"
    assert {recording_of(key) for key in keys} == {RecordingSid(SID)}
