"""`callreel backup`, `restore`, `check`, `reconcile`, `hold` and `erase` as command lines."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from callreel.domain.call import CallState, Direction, Role
from callreel.domain.ids import CallId, LegSid, RecordingSid
from callreel.domain.recording import CloudState, Layer, LayerFile, LayerState
from callreel.domain.verdict import Verdict
from callreel.simulator.rest.resources import page_json
from callreel.store.calls import calls, layers, recordings
from callreel.store.calls.calls import CallRow
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore
from tests.support.program import callreel, new_installation, the_line
from tests.support.rest_server import Answer, rest_server

ACCOUNT = "AC" + "0" * 32


def test_backup_is_verified_restored_and_checked(tmp_path: Path) -> None:
    settings = new_installation(tmp_path / "data")
    copy = str(tmp_path / "copy")
    assert callreel("backup", copy, folder=tmp_path, extra=settings).returncode == 0
    assert (
        "the backup is complete"
        in callreel("backup", "--verify", copy, folder=tmp_path, extra=settings).stdout
    )
    new = {"CALLREEL_DATA_DIR": str(tmp_path / "new")}
    assert callreel("restore", copy, folder=tmp_path, extra=new).returncode == 0
    checked = callreel("check", folder=tmp_path, extra=new)
    assert (checked.returncode, "all checks passed" in checked.stdout) == (0, True), checked.stdout
    again = callreel("restore", copy, folder=tmp_path, extra=new)
    assert again.returncode == 2 and "is not empty" in again.stderr


def test_check_reports_an_unknown_file(tmp_path: Path) -> None:
    settings = new_installation(tmp_path / "data")
    (tmp_path / "data/twilio_recordings").mkdir()
    (tmp_path / "data/twilio_recordings/stray.wav").touch()
    assert "unknown\ttwilio_recordings/stray.wav" in callreel("check", folder=tmp_path, extra=settings).stdout


def test_reconcile_names_missing_credentials(tmp_path: Path) -> None:
    answer = callreel("reconcile", "--dry-run", folder=tmp_path, extra=new_installation(tmp_path / "data"))
    assert answer.returncode == 2 and "TWILIO_ACCOUNT_SID" in answer.stderr


def a_verified_call(folder: Path, number: int, duration_ms: int) -> Path:
    """Add a call with a recording that was verified forty days ago; returns the path of the recording."""
    call_id, leg, sid = CallId(f"{number:012x}"), LegSid(f"CA{number:032x}"), RecordingSid(f"RE{number:032x}")
    at = datetime.now(UTC) - timedelta(days=40)
    key = f"twilio_recordings/{leg}_{sid}.wav"
    blobs = BlobStore(folder)
    blob = blobs.put(key, [b"RIFF" + bytes(996)])
    file = LayerFile(
        Layer.CLOUD, None, key, 8_000, 2, duration_ms, blob.size_bytes, blob.sha256, LayerState.CLOSED
    )
    database = Database.open(str(folder / "app.db"))
    with database.write() as conn:
        calls.insert(conn, CallRow(call_id, Direction.OUTGOING, "ada", "+15550100123", leg, Role.AGENT, at))
        layers.upsert(conn, call_id, file)
        recordings.upsert(conn, recordings.RecordingRow(sid, call_id, leg, CloudState.STORED, at))
        calls.set_verdict(conn, call_id, Verdict.VERIFIED, (), ())
        calls.set_state(conn, call_id, CallState.CLOSED, at)
    database.close()
    return blobs.path(key)


def test_reconcile_dry_run_lists_deletions_and_savings(tmp_path: Path) -> None:
    settings = new_installation(tmp_path / "data")
    a_verified_call(tmp_path / "data", 1, 90_000)
    a_verified_call(tmp_path / "data", 2, 200_000).unlink()
    listing = f"/2010-04-01/Accounts/{ACCOUNT}/Recordings.json"
    empty = json.dumps(page_json("recordings", [], path=listing, page=0, page_size=100)).encode()
    with rest_server() as server:
        server.put(listing, Answer(body=empty))
        policy = {
            "CALLREEL_CARRIER_API_URL": server.url,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": "secret",
            "CALLREEL_DELETE_AT_CARRIER": "after_days",
            "CALLREEL_PRICE_STORAGE_PER_MINUTE_MONTH": "0.0005",
        }
        ran = callreel("reconcile", "--dry-run", folder=tmp_path, extra={**settings, **policy})
        requested = [seen.path.partition("?")[0] for seen in server.seen]
    assert ran.returncode == 0, ran.stderr
    heading, *lines = ran.stdout.splitlines()
    lines = [line for line in [heading, *lines] if line.startswith(("recording", "RE", "callreel: "))]
    assert [line.split() for line in lines[:3]] == [
        ["recording", "call", "minutes", "saved", "per", "month", "at", "the", "carrier"],
        [f"RE{1:032x}", f"{1:012x}", "2", "0.0010", "would", "be", "deleted"],
        [f"RE{2:032x}", f"{2:012x}", "4", "kept:", "our", "copy", "is", "missing"],
    ]
    assert lines[3].startswith("callreel: 1 would be deleted at the carrier, saving 0.0010 ")
    assert set(requested) == {listing}, "only the list was requested"


def test_call_under_legal_hold_is_listed_and_not_erased(tmp_path: Path) -> None:
    settings = new_installation(tmp_path / "data")
    file = a_verified_call(tmp_path / "data", 1, 60_000)
    call_id = f"{1:012x}"
    held = callreel("hold", call_id, "--reason", "case 17", "--by", "kim", folder=tmp_path, extra=settings)
    assert (held.returncode, held.stdout) == (0, f"callreel: call {call_id} is under legal hold\n"), (
        held.stderr
    )
    assert "kim\tcase 17" in callreel("hold", folder=tmp_path, extra=settings).stdout
    refused = the_line(callreel("erase", call_id, "--yes", folder=tmp_path, extra=settings))
    assert "held by kim" in refused and file.is_file()
    unknown = the_line(callreel("release", "f" * 12, "--reason", "over", folder=tmp_path, extra=settings))
    assert unknown.startswith("there is no call ffffffffffff")
