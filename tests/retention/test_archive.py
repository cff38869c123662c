"""An archived call has fewer bytes and the same samples, and every file can be restored."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from benchmarks.long_call import CALL, TURN_S, long_call
from benchmarks.long_call import SID as LONG_SID

from callreel.audio import mulaw
from callreel.domain.call import Role
from callreel.domain.errors import StoreError
from callreel.domain.recording import Derivation, Layer, LayerFile
from callreel.domain.verdict import Verdict
from callreel.ops.backup import kept_files
from callreel.ops.integrity_check import IntegrityCheck, Kind
from callreel.retention import archive as archive_module
from callreel.retention.archive import QUIET, Archiver
from callreel.simulator.sound.voices import load_voice, shipped_voice
from callreel.store.audio import derived_cache
from callreel.store.audio.layer_audio import layer_digest, layer_range, open_layer
from callreel.store.audio.peaks import layer_peaks
from callreel.store.calls import calls, layers
from callreel.store.db.tables import Form
from callreel.store.files.blobs import BlobStore
from tests.support.installation import Installation
from tests.support.recorded_call import SID, Recorded, recorded_call
from tests.support.s3_server import S3Server


class Judged:
    """A call after its last stage, and its archiver."""

    def __init__(self, recorded: Recorded) -> None:
        self.recorded = recorded
        self.installation = recorded.installation
        recorded.downloading().download(SID)
        recorded.downloading().split(SID)
        recorded.comparing().compare(recorded.call_id)
        self.before = {file.path: self.blobs.path(file.path).read_bytes() for file in self.files()}

    @property
    def blobs(self) -> BlobStore:
        return self.installation.blobs

    def files(self) -> list[LayerFile]:
        with self.installation.database.read() as conn:
            return layers.of_call(conn, self.recorded.call_id)

    def forms(self) -> set[Form | None]:
        with self.installation.database.read() as conn:
            return set(layers.forms(conn, self.recorded.call_id).values())

    def archiving(self, after: timedelta | None = QUIET, *, only_trusted: bool = True) -> Archiver:
        installation = self.installation
        return Archiver(
            installation.database, self.blobs, installation.clock, after=after, only_trusted=only_trusted
        )

    def on_disk(self) -> list[str]:
        folders = ("audio_recordings", "twilio_recordings")
        return [blob.key for folder in folders for blob in self.blobs.local_files(folder)]

    def check(self) -> list[tuple[Kind, str]]:
        checking = IntegrityCheck(
            self.installation.database, self.blobs, self.installation.clock.now(), repair=False
        )
        return [(finding.kind, finding.path) for finding in checking.run().findings]


@pytest.fixture
def judged(installation: Installation) -> Iterator[Judged]:
    with recorded_call(installation) as recorded:
        yield Judged(recorded)


def test_archive_keeps_only_flac_and_returns_every_byte(judged: Judged) -> None:
    archiving = judged.archiving()
    assert archiving.sweep() == [], "its verdict is too recent"
    judged.installation.clock.step(QUIET.total_seconds() + 1)
    [size] = archiving.sweep()
    assert size.plain == sum(map(len, judged.before.values()))
    assert size.kept == sum(judged.blobs.path(key).stat().st_size for key in judged.on_disk())
    assert {Path(key).suffix for key in judged.on_disk()} == {".flac"} and len(judged.on_disk()) == 3
    assert judged.forms() == {Form.ARCHIVE} and archiving.sweep() == []
    for file in judged.files():
        assert file.archived is not None
        expected = {Layer.LIVE_16K: Derivation.UPSAMPLED, Layer.CLOUD_CHANNEL: Derivation.CHANNEL}
        assert file.archived.derivation is expected.get(file.layer, Derivation.WHOLE)
        assert layer_digest(judged.blobs, file) == file.sha256
        whole = judged.before[file.path]
        assert b"".join(layer_range(judged.blobs, file, 0, file.size_bytes)) == whole
        for start, stop in (
            (0, 10),
            (40, 50),
            (43, 47),
            (1_001, 2_000),
            (len(whole) - 5, len(whole)),
            (7, 7),
        ):
            assert b"".join(layer_range(judged.blobs, file, start, stop)) == whole[start:stop]
    assert judged.check() == []
    assert set(kept_files(judged.files())) == set(judged.on_disk())


def test_unarchiving_restores_every_file_by_digest(judged: Judged) -> None:
    archiving = judged.archiving(timedelta(0))
    judged.installation.clock.step(1)
    archiving.sweep()
    assert archiving.verify(judged.recorded.call_id) == (len(judged.before), [])
    assert archiving.restore_files(judged.recorded.call_id) == len(judged.before)
    assert {key: judged.blobs.path(key).read_bytes() for key in judged.on_disk()} == judged.before
    assert archiving.sweep() == [] and judged.check() == []
    assert archiving.restore_files(judged.recorded.call_id) == 0


def test_archived_call_is_processed_as_before(judged: Judged) -> None:
    before = judged.recorded.call
    drawn = layer_peaks(judged.blobs, judged.files(), Layer.LIVE_16K, before.topology, 10)
    judged.archiving().archive(judged.recorded.call_id)
    for layer in (Layer.CLOUD, Layer.LIVE_8K, Layer.LIVE_16K):
        assert layer_peaks(judged.blobs, judged.files(), layer, before.topology, 50) is not None
    assert layer_peaks(judged.blobs, judged.files(), Layer.LIVE_16K, before.topology, 10) == drawn
    assert judged.recorded.transcribing().from_recording(judged.recorded.call_id) == 2
    assert judged.recorded.comparing().compare(judged.recorded.call_id) == 0
    assert judged.recorded.call == before
    assert judged.recorded.downloading().split(SID) == 2
    judged.archiving().archive(judged.recorded.call_id)
    assert judged.check() == []


@pytest.mark.parametrize(
    ("verdict", "after", "only_trusted", "due"),
    [
        (Verdict.VERIFIED, timedelta(0), True, 1),
        (Verdict.EXPLAINED, timedelta(0), True, 1),
        (Verdict.SUSPECT, timedelta(0), True, 0),
        (Verdict.SUSPECT, timedelta(0), False, 1),
        (Verdict.VERIFIED, timedelta(days=2), False, 0),
        (Verdict.VERIFIED, None, False, 0),
    ],
)
def test_policy_selects_calls_by_verdict_and_age(
    judged: Judged, verdict: Verdict, after: timedelta | None, only_trusted: bool, due: int
) -> None:
    with judged.installation.database.write() as conn:
        calls.set_verdict(conn, judged.recorded.call_id, verdict, (), ())
    judged.installation.clock.step(3600)
    assert len(judged.archiving(after, only_trusted=only_trusted).due()) == due


def test_layer_that_cannot_be_rederived_is_archived_whole(judged: Judged) -> None:
    """A layer 2 that is not the resampling of layer 1, as after a full disk."""
    path = next(file.path for file in judged.files() if file.layer is Layer.LIVE_16K)
    spoiled = bytearray(judged.before[path])
    spoiled[40_000:40_400] = bytes(400)
    replace_file(judged, path, bytes(spoiled))
    judged.archiving().archive(judged.recorded.call_id)
    [file] = [file for file in judged.files() if file.path == path]
    assert file.archived is not None and file.archived.derivation is Derivation.WHOLE
    assert b"".join(layer_range(judged.blobs, file, 0, file.size_bytes)) == bytes(spoiled)


def test_archived_recording_keeps_its_extra_chunks(judged: Judged) -> None:
    path = next(file.path for file in judged.files() if file.layer is Layer.CLOUD)
    whole = judged.before[path] + b"LIST\x04\x00\x00\x00abcd"
    replace_file(judged, path, whole)
    judged.archiving().archive(judged.recorded.call_id)
    [file] = [file for file in judged.files() if file.path == path]
    assert file.archived is not None
    assert b"".join(layer_range(judged.blobs, file, 0, len(whole))) == whole
    assert b"".join(layer_range(judged.blobs, file, len(whole) - 6, len(whole))) == b"\x00\x00abcd"[-6:]


def test_file_without_16_bit_audio_stays_unarchived(judged: Judged) -> None:
    path = next(file.path for file in judged.files() if file.layer is Layer.LIVE_8K)
    replace_file(judged, path, b"no sound at all, but kept")
    archiving = judged.archiving(timedelta(0))
    judged.installation.clock.step(1)
    archiving.sweep()
    assert judged.blobs.path(path).exists() and archiving.due() == []
    assert Form.PLAIN in judged.forms()


def test_archive_with_different_bytes_drops_no_file(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "layer_digest", lambda blobs, file: "0" * 64)
    judged.archiving().archive(judged.recorded.call_id)
    assert {key: judged.blobs.path(key).read_bytes() for key in judged.on_disk()} == judged.before


def test_damaged_archive_is_reported_and_not_played(judged: Judged) -> None:
    judged.archiving().archive(judged.recorded.call_id)
    cloud = next(file for file in judged.files() if file.layer is Layer.CLOUD)
    layer1 = next(file for file in judged.files() if file.layer is Layer.LIVE_8K)
    assert cloud.archived is not None and layer1.archived is not None
    flac = judged.blobs.path(layer1.archived.key)
    flac.write_bytes(flac.read_bytes()[:-200] + bytes(200))
    judged.blobs.path(cloud.archived.key).unlink()
    found = judged.check()
    assert {kind for kind, path in found if path == layer1.path} == {Kind.DAMAGED}
    assert {kind for kind, path in found if path == cloud.path} == {Kind.MISSING}
    with pytest.raises(StoreError):
        open_layer(judged.blobs, cloud)


def test_cache_of_derived_files_is_bounded(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    judged.archiving().archive(judged.recorded.call_id)
    wide = [file for file in judged.files() if file.layer is Layer.LIVE_16K]
    monkeypatch.setattr(derived_cache, "MAX_BYTES", wide[0].size_bytes + 10)
    for file in (*wide, *wide):
        open_layer(judged.blobs, file).close()
        assert [blob.key for blob in judged.blobs.local_files("derived")] == [f"derived/{file.sha256}.wav"]


KILLED = """
import os, sys
from datetime import timedelta
from pathlib import Path
from callreel.domain.ids import CallId
from callreel.retention import archive as archiving
from callreel.runtime.clock import Clock
from callreel.store.files.blobs import BlobStore
from callreel.store.db.database import Database

folder, call, at = sys.argv[1:]
left = int(at)

def counted(work):
    def run(*arguments, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)
        return work(*arguments, **named)
    return run

BlobStore.commit_part = counted(BlobStore.commit_part)
BlobStore.delete = counted(BlobStore.delete)
archiving.Archiver._note = counted(archiving.Archiver._note)
database = Database.open(str(Path(folder) / "callreel.db"))
archiving.Archiver(
    database, BlobStore(Path(folder) / "objects"), Clock(), after=timedelta(0), only_trusted=True
).archive(CallId(call))
"""


@pytest.mark.parametrize("instant", [0, 1, 3, 9, 17])
def test_killed_archiving_loses_nothing_and_resumes(judged: Judged, instant: int) -> None:
    arguments = [str(judged.installation.folder), judged.recorded.call_id, str(instant)]
    died = subprocess.run([sys.executable, "-c", KILLED, *arguments], timeout=60)
    assert died.returncode == -9
    for file in judged.files():
        assert layer_digest(judged.blobs, file) == file.sha256
    judged.archiving().archive(judged.recorded.call_id)
    assert judged.forms() == {Form.ARCHIVE}
    assert {Path(key).suffix for key in judged.on_disk()} == {".flac"}
    assert judged.archiving().verify(judged.recorded.call_id) == (len(judged.before), [])


def test_archive_in_an_object_store_is_read_elsewhere(judged: Judged, s3: S3Server, tmp_path: Path) -> None:
    s3.empty()
    blobs = BlobStore(judged.blobs.root, s3.store())
    for path in judged.before:
        blobs.upload(path)
    archiving = Archiver(
        judged.installation.database, blobs, judged.installation.clock, after=timedelta(0), only_trusted=True
    )
    archiving.archive(judged.recorded.call_id)
    keys = {
        found.key
        for folder in ("audio_recordings", "twilio_recordings")
        for found in s3.store().list_folder(folder)
    }
    assert keys == set(kept_files(judged.files())) and judged.on_disk() == []
    elsewhere = BlobStore(tmp_path / "another machine", s3.store())
    for file in judged.files():
        assert b"".join(layer_range(elsewhere, file, 900, 1_100)) == judged.before[file.path][900:1_100]
    archiving.restore_files(judged.recorded.call_id)
    assert all(elsewhere.digest(file.path) == file.sha256 for file in judged.files())


def test_archived_speech_is_under_30_percent_of_the_size(tmp_path: Path) -> None:
    """Of both live layers and the recording, whole and split. Noise, which the other tests use, compresses less."""
    lanes = [np.resize(load_voice(shipped_voice(role)), 60 * 8_000) for role in Role]
    both = np.stack([mulaw.decode(mulaw.encode(lane)) for lane in lanes], axis=1)
    turn = TURN_S * 8_000
    with long_call(tmp_path, 1, lambda number: both[number * turn : (number + 1) * turn]) as call:
        call.downloading.split(LONG_SID)
        archiving = Archiver(call.database, call.blobs, call.clock, after=timedelta(0), only_trusted=True)
        size = archiving.archive(CALL)
        assert archiving.verify(CALL) == (7, [])
    assert size.plain > 9_600_000
    assert size.kept < 0.3 * size.plain


def replace_file(judged: Judged, path: str, data: bytes) -> None:
    """Replace the bytes of a file and the digest in its row."""
    judged.blobs.path(path).write_bytes(data)
    [file] = [file for file in judged.files() if file.path == path]
    with judged.installation.database.write() as conn:
        changed = replace(file, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        layers.upsert(conn, judged.recorded.call_id, changed)
    judged.before[path] = data
