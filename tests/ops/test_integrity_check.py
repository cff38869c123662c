import os
from datetime import timedelta
from pathlib import Path

import pytest

from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.recording import CloudState, Layer, LayerFile, LayerState
from callreel.domain.work import Workflow
from callreel.ops.integrity_check import CheckReport, IntegrityCheck, Kind
from callreel.store.calls import layers, outbox, recordings
from tests.support.installation import NOON, Installation, a_call, leg

SID = RecordingSid("RE" + "1" * 32)
KEY = f"twilio_recordings/{leg(1)}_{SID}.wav"
CALL = CallId("000000000001")


@pytest.fixture
def kept(installation: Installation) -> Installation:
    """A call with one stored recording."""
    call = a_call(installation)
    blob = installation.blobs.put(KEY, [b"audio"])
    file = LayerFile(Layer.CLOUD, None, KEY, 8_000, 2, 5, blob.size_bytes, blob.sha256, LayerState.CLOSED)
    with installation.database.write() as conn:
        layers.upsert(conn, call.id, file)
        recordings.upsert(conn, recordings.RecordingRow(SID, call.id, leg(1), CloudState.STORED, NOON))
    return installation


def check(installation: Installation, *, repair: bool = False) -> CheckReport:
    return IntegrityCheck(installation.database, installation.blobs, NOON, repair=repair).run()


def findings(checked: CheckReport) -> list[tuple[Kind, str, str | None]]:
    return [(finding.kind, finding.path, finding.done) for finding in checked.findings]


def put_aged(path: Path, age: timedelta) -> None:
    path.write_bytes(b"unknown")
    moment = (NOON - age).timestamp()
    os.utime(path, (moment, moment))


def test_intact_files_give_no_findings(kept: Installation) -> None:
    checked = check(kept)
    assert (checked.files, checked.size_bytes, checked.findings) == (1, 5, ())


@pytest.mark.parametrize("bytes_now", [b"audiO", b"audio and more", b""])
def test_changed_bytes_are_reported_and_never_touched(kept: Installation, bytes_now: bytes) -> None:
    kept.blobs.path(KEY).write_bytes(bytes_now)
    assert findings(check(kept, repair=True)) == [(Kind.DAMAGED, KEY, None)]
    assert kept.blobs.path(KEY).read_bytes() == bytes_now


def test_missing_recording_is_scheduled_for_download_on_repair(kept: Installation) -> None:
    with kept.database.write() as conn:
        conn.exec_driver_sql("UPDATE calls SET state = 'closed'")
    kept.blobs.path(KEY).unlink()
    assert findings(check(kept)) == [(Kind.MISSING, KEY, None)]
    assert findings(check(kept, repair=True)) == [
        (Kind.MISSING, KEY, "scheduled for download from the carrier")
    ]
    with kept.database.read() as conn:
        (order,) = outbox.all_orders(conn)
        row = recordings.get(conn, SID)
    assert (order.workflow, order.subject) == (Workflow.DOWNLOAD, SID)
    assert row is not None and row.state is CloudState.COMPLETED


def test_old_file_without_a_row_is_moved_aside(kept: Installation) -> None:
    folder = kept.blobs.path(KEY).parent
    put_aged(folder / "new.wav", timedelta(hours=23))
    put_aged(folder / "old.wav", timedelta(hours=25))
    assert findings(check(kept)) == [
        (Kind.UNKNOWN, "twilio_recordings/new.wav", "left alone: younger than a day"),
        (Kind.UNKNOWN, "twilio_recordings/old.wav", None),
    ]
    check(kept, repair=True)
    assert not (folder / "old.wav").exists()
    assert (kept.blobs.root / "unclaimed/twilio_recordings/old.wav").read_bytes() == b"unknown"
    assert (folder / "new.wav").exists()


def test_old_leftovers_of_dead_processes_are_deleted(kept: Installation) -> None:
    folder = kept.blobs.path(KEY).parent
    put_aged(folder / ".x.wav.abc.part", timedelta(days=2))
    put_aged(folder / "resumed.wav.part", timedelta(hours=2))
    done = {path: done for _, path, done in findings(check(kept, repair=True))}
    assert done == {
        "twilio_recordings/.x.wav.abc.part": "deleted",
        "twilio_recordings/resumed.wav.part": "left alone: younger than a day",
    }
