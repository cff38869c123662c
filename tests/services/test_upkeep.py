from dataclasses import replace
from datetime import timedelta

import pytest

from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.recording import CloudState
from callreel.services.dispatch import recording_of, workflow_key
from callreel.services.upkeep import MOST_RETRIES, due_again
from callreel.store.recordings import RecordingRow
from tests.services.ground import NOON, leg

SID = RecordingSid("RE" + "1" * 32)
ROW = RecordingRow(SID, CallId("000000000001"), leg(1), CloudState.PARKED, NOON)


@pytest.mark.parametrize(("retries", "waits_min"), [(0, 15), (1, 30), (4, 240), (9, 1_440)])
def test_when_a_parked_recording_is_tried_by_itself(retries: int, waits_min: int) -> None:
    row = replace(ROW, retries=retries)
    assert not due_again(row, NOON + timedelta(minutes=waits_min - 1))
    assert due_again(row, NOON + timedelta(minutes=waits_min))
    assert not due_again(replace(row, retries=MOST_RETRIES), NOON + timedelta(days=30))


def test_each_retry_is_a_run_of_its_own_of_the_same_recording() -> None:
    keys = [workflow_key(replace(ROW, retries=number)) for number in range(3)]
    assert len(set(keys)) == 3 and keys[0] == SID, "the first is what it was before retries were known"
    assert {recording_of(key) for key in keys} == {SID}
