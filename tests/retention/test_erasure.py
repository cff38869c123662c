"""Erasing a call leaves only a tombstone, whatever fails on the way; a held call is not erased."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from callreel.carrier_client.client import CarrierRecordings
from callreel.carrier_client.rest import CarrierAccess
from callreel.domain.audit import AuditAction, AuditEvent
from callreel.domain.call import CallState
from callreel.domain.errors import CarrierError, NoCallError, StoreError
from callreel.domain.events import EventKind
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.note import NoteKind
from callreel.domain.recording import Layer
from callreel.domain.retention import parse_rules
from callreel.domain.work import Workflow, WorkItem, WorkState
from callreel.postcall.durable import Steps
from callreel.postcall.workflows import Dispatcher
from callreel.retention.archive import Archiver
from callreel.retention.carrier_deletion import Deletion
from callreel.retention.erasure import Eraser
from callreel.retention.erasure_orders import ErasureOrders, ErasureRefusedError
from callreel.retention.legal_hold import HoldRefusedError, LegalHolds, ReasonError
from callreel.retention.policies import BY_POLICY, Retention
from callreel.review.notes import HeldNoteError, Notes
from callreel.simulator.rest.resources import page_json, recording_json
from callreel.store.audio.layer_audio import layer_digest, open_layer
from callreel.store.audio.peaks import layer_peaks
from callreel.store.audit import trail
from callreel.store.calls import calls, erasures, holds, layers, outbox, recordings
from callreel.store.calls.erasures import ErasureRow
from callreel.store.db.tables import metadata
from callreel.store.files.blobs import BlobStore
from callreel.twilio.rest_resources import RecordingResource
from tests.support.fake_engine import FakeEngine
from tests.support.installation import ACCOUNT, NOON, Installation, eventually_blocking, leg
from tests.support.program import environment
from tests.support.recorded_call import SID, Recorded, recorded_call
from tests.support.rest_server import Answer
from tests.support.rows import audit_entries

ROOT = f"/2010-04-01/Accounts/{ACCOUNT}"
CARRIER_COPY = f"{ROOT}/Recordings/{SID}.json"
LISTED = f"{ROOT}/Recordings.json"
TEXTS = f"{ROOT}/Recordings/{SID}/Transcriptions.json"
OURS = ("erasures", "audit_entries", "alembic_version", "turn_fts")


def listed(*sids: RecordingSid) -> Answer:
    """The carrier's list of a call's recordings."""
    found = [
        recording_json(RecordingResource(sid, leg(1), "completed", 5, 2), ACCOUNT, created=NOON, updated=NOON) for sid in sids
    ]  # fmt: skip
    page = page_json("recordings", found, path=LISTED, page=0, page_size=100)
    return Answer(body=json.dumps(page).encode())


@pytest.fixture
def recorded(installation: Installation) -> Iterator[Recorded]:
    with recorded_call(installation) as made:
        made.downloading().download(SID)
        made.downloading().split(SID)
        made.transcribing().from_recording(made.call_id)
        made.comparing().compare(made.call_id)
        made.server.put(LISTED, listed(SID))
        made.server.put(CARRIER_COPY, Answer(204))
        with installation.database.write() as conn:
            for order in outbox.all_orders(conn):
                outbox.remove(conn, order)
        yield made


def erasing(
    recorded: Recorded,
    blobs: BlobStore | None = None,
    unfinished: Sequence[WorkItem] = (),
) -> Eraser:
    installation = recorded.installation
    return Eraser(
        installation.database, blobs or installation.blobs, recorded.carrier, installation.publisher,
        installation.clock, unfinished=lambda *sids: unfinished,
    )  # fmt: skip


def policies(recorded: Recorded, rules: str) -> Retention:
    installation = recorded.installation
    return Retention(
        installation.database, installation.blobs, recorded.carrier, installation.publisher, installation.clock,
        parse_rules(rules),
    )  # fmt: skip


def ordered(recorded: Recorded) -> FakeEngine:
    """The durable engine with the erasure that is in the outbox; `work` runs it."""

    def erase(steps: Steps, key: str) -> None:
        for name, work in erasing(recorded).steps(CallId(key)):
            steps.run(name, work)

    engine = FakeEngine({Workflow.ERASE: erase}, clock=recorded.installation.clock)
    Dispatcher(recorded.installation.database, engine, recorded.installation.clock).sweep()
    return engine


def orders(recorded: Recorded) -> ErasureOrders:
    return ErasureOrders(recorded.installation.database, recorded.installation.clock, carrier_usable=True)


def holding(recorded: Recorded) -> LegalHolds:
    return LegalHolds(
        recorded.installation.database, recorded.installation.publisher, recorded.installation.clock
    )


def erase(recorded: Recorded, *, at_carrier: bool = True) -> ErasureRow:
    orders(recorded).request(recorded.call_id, "ada", "ticket 7", at_carrier=at_carrier)
    return erasing(recorded).erase(recorded.call_id)


def stone(recorded: Recorded) -> ErasureRow:
    with recorded.installation.database.read() as conn:
        [row] = erasures.newest(conn)
    return row


def files_left(installation: Installation) -> list[str]:
    folders = ("audio_recordings", "twilio_recordings", "peaks", "derived")
    return [blob.key for folder in folders for blob in installation.blobs.local_files(folder)]


def rows_left(installation: Installation, call_id: CallId) -> dict[str, int]:
    """Counts of rows that belong to the call, by table."""
    left = {}
    with installation.database.read() as conn:
        for table in metadata.sorted_tables:
            if "call_id" in table.c and table.name not in OURS:
                found = conn.execute(table.select().where(table.c.call_id == call_id)).all()
                left[table.name] = len(found)
        for name in ("calls", "turns", "turn_index", "callbacks", "facts"):
            left[name] = conn.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one()
        hits = conn.exec_driver_sql("SELECT count(*) FROM turn_fts").scalar_one()
    return {name: count for name, count in {**left, "turn_fts": hits}.items() if count}


@pytest.mark.parametrize("archived", [False, True])
def test_erasure_leaves_only_a_tombstone_with_digests(recorded: Recorded, archived: bool) -> None:
    installation = recorded.installation
    with installation.database.read() as conn:
        files = layers.of_call(conn, recorded.call_id)
    if archived:
        Archiver(
            installation.database, installation.blobs, installation.clock, after=None, only_trusted=True
        ).archive(recorded.call_id)
        with installation.database.read() as conn:
            wide = [file for file in layers.of_call(conn, recorded.call_id) if file.layer is Layer.LIVE_16K]
        for file in wide:
            open_layer(installation.blobs, file).close()
    layer_peaks(
        installation.blobs, files, Layer.LIVE_8K, recorded.call.topology, 10
    ) if not archived else None
    before = rows_left(installation, recorded.call_id)
    assert files_left(installation) and before
    done = erase(recorded)
    assert files_left(installation) == [] and rows_left(installation, recorded.call_id) == {}
    assert len([seen for seen in recorded.server.seen if seen.path == CARRIER_COPY]) == 1
    assert (done.by, done.reason, done.erased_at) == ("ada", "ticket 7", installation.clock.now())
    assert done.files == {file.path: file.sha256 for file in files}
    assert done.recordings == {SID: {"outcome": "deleted", "transcriptions": 0}}
    assert {name: done.counts[name] for name in ("turns", "transcripts", "layers")} == {
        name: before[name] for name in ("turns", "transcripts", "layers")
    }
    assert [event.data for event in installation.published if event.kind is EventKind.CALL][-1] == {
        "state": "erased"
    }
    with pytest.raises(NoCallError, match="there is no call"):
        orders(recorded).request(recorded.call_id, "ada")


def test_unreported_recordings_and_transcriptions_are_erased(recorded: Recorded) -> None:
    other = RecordingSid("RE" + "2" * 32)
    text = f"{ROOT}/Transcriptions/TR{'3' * 32}.json"
    recorded.server.put(LISTED, listed(SID, other))
    recorded.server.put(f"{ROOT}/Recordings/{other}.json", Answer(204))
    recorded.server.put(
        TEXTS, Answer(body=json.dumps({"transcriptions": [{"sid": f"TR{'3' * 32}"}]}).encode())
    )
    recorded.server.put(text, Answer(204))
    assert erase(recorded).recordings == {
        SID: {"outcome": "deleted", "transcriptions": 1},
        other: {"outcome": "deleted", "transcriptions": 0},
    }
    paths = [seen.path for seen in recorded.server.seen]
    assert paths.index(text) < paths.index(CARRIER_COPY)


def test_local_files_stay_while_the_carrier_cannot_delete(recorded: Recorded) -> None:
    before = files_left(recorded.installation)
    recorded.server.put(CARRIER_COPY, Answer(503, headers={"Retry-After": "3600"}), Answer(404))
    with pytest.raises(CarrierError):
        erase(recorded)
    assert files_left(recorded.installation) == before
    recorded.server.put(CARRIER_COPY, Answer(503, headers={"Retry-After": "3600"}), Answer(404))
    engine = ordered(recorded)
    engine.work()
    [waiting] = engine.unfinished(recorded.call_id)
    assert (waiting.step, waiting.attempt, waiting.state) == ("carrier", 1, WorkState.PARKED)
    assert waiting.failure == "the carrier answered 503 to a deletion and requests a wait of 3600 s"
    assert waiting.retry_at == recorded.installation.clock.now() + timedelta(hours=1)
    engine.work_due()
    assert files_left(recorded.installation) == before
    recorded.installation.clock.step(3600)
    engine.work_due()
    assert files_left(recorded.installation) == [] and not engine.waiting
    assert stone(recorded).recordings == {SID: {"outcome": "already_deleted", "transcriptions": 0}}


def test_carrier_copy_can_be_kept_after_a_failed_deletion(recorded: Recorded) -> None:
    recorded.server.put(CARRIER_COPY, Answer(503))
    with pytest.raises(CarrierError):
        erase(recorded)
    done = erase(recorded, at_carrier=False)
    assert done.recordings == {SID: {"outcome": "kept", "transcriptions": 0}}
    assert files_left(recorded.installation) == []


def test_erasure_without_credentials_is_refused(recorded: Recorded) -> None:
    recorded.carrier = CarrierRecordings(CarrierAccess(recorded.server.url, ACCOUNT, "", "", timeout_s=5))
    with pytest.raises(StoreError, match="no carrier credentials are set"):
        erase(recorded)
    assert files_left(recorded.installation)
    without = ErasureOrders(recorded.installation.database, recorded.installation.clock, carrier_usable=False)
    with pytest.raises(ErasureRefusedError, match="no carrier credentials are set"):
        without.request(recorded.call_id, "ada")
    without.request(recorded.call_id, "ada", at_carrier=False)
    recorded.carrier.close()


def test_erased_words_and_numbers_leave_the_database_files(recorded: Recorded) -> None:
    """The files are read as bytes: freed pages, the search index and the write-ahead log too."""
    installation = recorded.installation
    with installation.database.read() as conn:
        said = str(conn.exec_driver_sql("SELECT text FROM turn_index").scalars().first())
    secrets = [said.split()[0].encode(), recorded.call.remote_number.encode()]

    def found() -> list[int]:
        written = b"".join(path.read_bytes() for path in sorted(installation.folder.glob("callreel.db*")))
        return [written.count(secret) for secret in secrets]

    assert all(found())
    orders(recorded).request(recorded.call_id, "ada")
    ordered(recorded).work()
    assert found() == [0, 0]


@pytest.mark.parametrize("state", [CallState.LIVE, CallState.ENDED])
def test_unfinished_call_cannot_be_erased(recorded: Recorded, state: CallState) -> None:
    with recorded.installation.database.write() as conn:
        conn.exec_driver_sql(f"UPDATE calls SET state = '{state.value}'")
    with pytest.raises(
        ErasureRefusedError, match="is still in progress" if state is CallState.LIVE else "checked"
    ):
        erase(recorded)
    assert files_left(recorded.installation)


def test_erasure_waits_for_ordered_and_running_work(recorded: Recorded) -> None:
    with recorded.installation.database.write() as conn:
        recordings.download_again(conn, SID, recorded.installation.clock.now())
    with pytest.raises(ErasureRefusedError, match="being checked"):
        erase(recorded)
    with recorded.installation.database.write() as conn:
        [order] = outbox.all_orders(conn)
        outbox.remove(conn, order)
    orders(recorded).request(recorded.call_id, "ada")
    running = WorkItem(Workflow.DOWNLOAD, order.key, WorkState.RUNNING, NOON)
    with pytest.raises(StoreError, match="processing a recording"):
        erasing(recorded, unfinished=[running]).erase(recorded.call_id)
    assert files_left(recorded.installation)
    assert not deletion_requested(recorded)
    parked = replace(running, state=WorkState.PARKED)
    assert erasing(recorded, unfinished=[parked]).erase(recorded.call_id).erased_at is not None


def deletion_requested(recorded: Recorded) -> bool:
    return any(seen.path == CARRIER_COPY for seen in recorded.server.seen)


class Killed(BaseException):
    """Ends the erasure here, like a kill."""


class Dying(BlobStore):
    """Ends the process at its `left`-th deletion."""

    left = 0

    def delete(self, key: str) -> bool:
        self.left -= 1
        if self.left < 0:
            raise Killed
        return super().delete(key)


def test_erasure_resumes_after_a_kill_between_any_two_files(recorded: Recorded) -> None:
    files = orders(recorded).request(recorded.call_id, "ada").files
    assert len(files) == 7
    for gone in range(len(files)):
        dying = Dying(recorded.installation.blobs.root)
        dying.left = gone
        with pytest.raises(Killed):
            erasing(recorded, blobs=dying).erase(recorded.call_id)
        assert recorded.call.state is CallState.CLOSED and stone(recorded).erased_at is None
    ordered(recorded).work()
    assert (
        files_left(recorded.installation) == [] and rows_left(recorded.installation, recorded.call_id) == {}
    )
    assert len([seen for seen in recorded.server.seen if seen.path == CARRIER_COPY]) == 1


def test_erasure_killed_at_the_carrier_resumes_at_startup(recorded: Recorded, tmp_path: Path) -> None:
    """A real process, `kill -9`, while the carrier has not answered the deletion."""
    recorded.server.put(CARRIER_COPY, Answer(204, stays=True), Answer(404))
    data = recorded.installation.folder
    settings = {
        "CALLREEL_DATA_DIR": str(data),
        "CALLREEL_DATABASE_URL": f"sqlite:///{data}/callreel.db",
        "CALLREEL_OBJECT_STORE_URL": (data / "objects").as_uri(),
        "CALLREEL_CARRIER_API_URL": recorded.server.url,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": "t" * 32,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "callreel.cli.main", "erase", recorded.call_id, "--yes"],
        cwd=tmp_path, env=environment(settings), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        eventually_blocking(lambda: deletion_requested(recorded) or process.poll() is not None, 60)
    finally:
        process.send_signal(signal.SIGKILL)
        output = process.communicate()
    assert deletion_requested(recorded), output
    assert stone(recorded).erased_at is None and files_left(recorded.installation)
    ordered(recorded).work()
    assert (
        files_left(recorded.installation) == [] and rows_left(recorded.installation, recorded.call_id) == {}
    )


def test_audit_trail_survives_the_erasure(recorded: Recorded) -> None:
    database, now = recorded.installation.database, recorded.installation.clock.now()
    with database.write() as conn:
        trail.record(
            conn, AuditEvent(now, AuditAction.PLAYED, "sam", call_id=recorded.call_id, subject="cloud")
        )
    recorded.installation.clock.step(31 * 86_400)
    policies(recorded, "call=30").sweep()
    ordered(recorded).work()
    entries = [(entry.action, entry.actor, entry.call_id) for entry in audit_entries(database)]
    assert entries == [
        (action, actor, recorded.call_id)
        for action, actor in (("played", "sam"), ("erasure_ordered", BY_POLICY), ("erased", BY_POLICY))
    ]


def test_policy_erases_old_calls_unless_held(recorded: Recorded) -> None:
    installation = recorded.installation
    policy = policies(recorded, "call=30")
    installation.clock.step(29 * 86_400)
    assert policy.sweep() == 0
    installation.clock.step(2 * 86_400)
    holding(recorded).hold(recorded.call_id, "case 17", "sam")
    assert policy.sweep() == 0
    holding(recorded).release(recorded.call_id, "closed", "sam")
    assert policy.sweep() == 1
    ordered(recorded).work()
    with installation.database.read() as conn:
        assert calls.get(conn, recorded.call_id) is None
    done = stone(recorded)
    assert (done.by, done.reason) == (BY_POLICY, "rule 1: call=30") and done.erased_at is not None
    at = installation.clock.now().isoformat(timespec="milliseconds")
    assert done.holds == [{"by": "sam", "at": at, "released_by": "sam", "released_at": at}]


def test_held_call_is_not_erased_deleted_or_changed(recorded: Recorded) -> None:
    installation, call_id = recorded.installation, recorded.call_id
    notes = Notes(installation.database, installation.publisher, installation.clock)
    note = notes.add(call_id, NoteKind.NOTE, 0, "kept", "ada")
    holding(recorded).hold(call_id, "  case 17 ", "sam")
    with installation.database.read() as conn:
        [row] = holds.of_call(conn, call_id)
    assert (row.reason, row.by, row.at, row.released_at) == ("case 17", "sam", installation.clock.now(), None)
    with pytest.raises(ErasureRefusedError, match="held by sam since 2026-11-22"):
        erase(recorded)
    with pytest.raises(HeldNoteError):
        notes.change(call_id, note.id, None, "other", by="ada", all_notes=True)
    with pytest.raises(HeldNoteError):
        notes.remove(call_id, note.id, by="ada", all_notes=True)
    installation.clock.step(400 * 86_400)
    deletion = Deletion(
        installation.database, installation.blobs, recorded.carrier, installation.clock, after_days=1
    )
    assert deletion.sweep() == []
    with pytest.raises(HoldRefusedError, match="held already"):
        holding(recorded).hold(call_id, "again", "ada")
    holding(recorded).release(call_id, "case 17 is closed", "ada")
    with pytest.raises(HoldRefusedError, match="not held"):
        holding(recorded).release(call_id, "again", "ada")
    assert len(deletion.sweep()) == 1
    recorded.server.put(LISTED, listed())
    assert erase(recorded).recordings == {}


def test_archiving_a_held_call_keeps_every_digest(recorded: Recorded) -> None:
    installation, call_id = recorded.installation, recorded.call_id
    holding(recorded).hold(call_id, "case 17", "sam")
    Archiver(
        installation.database, installation.blobs, installation.clock, after=None, only_trusted=True
    ).archive(call_id)
    with installation.database.read() as conn:
        files = layers.of_call(conn, call_id)
    assert any(file.archived for file in files)
    assert all(layer_digest(installation.blobs, file) == file.sha256 for file in files)


def test_call_being_erased_cannot_be_held(recorded: Recorded) -> None:
    orders(recorded).request(recorded.call_id, "ada")
    with pytest.raises(HoldRefusedError, match="being erased"):
        holding(recorded).hold(recorded.call_id, "too late", "sam")


def test_hold_needs_a_call_and_a_reason(recorded: Recorded) -> None:
    with pytest.raises(ReasonError, match="a reason is required"):
        holding(recorded).hold(recorded.call_id, "  ", "sam")
    with pytest.raises(ReasonError, match="at most 500"):
        holding(recorded).hold(recorded.call_id, "x" * 501, "sam")
    with pytest.raises(NoCallError):
        holding(recorded).hold(CallId("0" * 12), "case", "sam")


def test_preview_lists_what_an_erasure_deletes(recorded: Recorded) -> None:
    preview = orders(recorded).preview(recorded.call_id)
    assert preview is not None and preview.refusal is None
    assert (len(preview.files), preview.recordings) == (7, [SID])
    assert preview.counts["layers"] == 7 and preview.counts["turns"]
    done = erase(recorded)
    assert {**done.counts, **preview.counts} == done.counts
