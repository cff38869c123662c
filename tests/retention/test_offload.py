"""Files that move from the spool to the object store, also after an outage and with another machine."""

from dataclasses import replace
from datetime import timedelta

import pytest

from callreel.audio import wav
from callreel.domain.call import CallState, Role
from callreel.domain.errors import StoreUnavailableError
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.retention.offload import Offloader
from callreel.store.audio.layer_audio import open_layer
from callreel.store.audio.live_layers import layer_file
from callreel.store.audio.peaks import FilePeaks, save_peaks
from callreel.store.calls import calls, layers
from callreel.store.files.blobs import BlobStore
from tests.support.installation import Installation, a_call, speech
from tests.support.s3_server import S3Server

SPOOL = "here-1"


class Machine:
    """A machine with a spool, an object store, and a call with a live layer."""

    def __init__(self, installation: Installation, s3: S3Server) -> None:
        s3.empty()
        self.installation = installation
        self.objects = s3.store()
        self.blobs = BlobStore(installation.blobs.root, self.objects)
        self.offloader = Offloader(installation.database, self.blobs, installation.clock, SPOOL)
        self.call = a_call(installation)
        path = installation.blobs.path("audio_recordings/agent_8000Hz.wav")
        installation.blobs.put(
            "audio_recordings/agent_8000Hz.wav", [wav.header(400 * 8 * 2, 8_000), speech(400).tobytes()]
        )
        self.file = layer_file(
            Layer.LIVE_8K, Role.AGENT, path, 8_000, LayerState.CLOSED, installation.blobs.root, SPOOL
        )
        self.save_row(self.file)

    def save_row(self, file: LayerFile) -> None:
        with self.installation.database.write() as conn:
            layers.upsert(conn, self.call.id, file)

    def end(self, seconds_ago: float = 10.0) -> None:
        with self.installation.database.write() as conn:
            at = self.installation.clock.now() - timedelta(seconds=seconds_ago)
            calls.set_state(conn, self.call.id, CallState.ENDED, at)

    @property
    def row(self) -> LayerFile:
        with self.installation.database.read() as conn:
            [file] = layers.of_call(conn, self.call.id)
        return file

    @property
    def names(self) -> list[str]:
        return [found.key for found in self.objects.list_folder("audio_recordings")]


@pytest.fixture
def machine(installation: Installation, s3: S3Server) -> Machine:
    return Machine(installation, s3)


def test_live_layer_is_moved_after_its_call_ended(machine: Machine) -> None:
    assert machine.offloader.sweep() == 0 and machine.blobs.path(machine.file.path).exists()
    machine.end(seconds_ago=1)
    assert machine.offloader.sweep() == 0, "a stream may still join"
    machine.installation.clock.step(10)
    assert machine.offloader.sweep() == 1
    assert not machine.blobs.path(machine.file.path).exists() and machine.names == [machine.file.path]
    assert machine.row == replace(machine.file, spool=None)
    assert machine.blobs.digest(machine.file.path) == machine.file.sha256
    assert machine.offloader.sweep() == 0


def test_growing_layer_stays_on_the_spool(machine: Machine) -> None:
    machine.end()
    machine.save_row(replace(machine.file, state=LayerState.RECORDING, sha256=None))
    assert machine.offloader.sweep() == 0 and machine.blobs.path(machine.file.path).exists()


def test_files_wait_readable_on_the_spool_during_an_outage(machine: Machine, s3: S3Server) -> None:
    machine.end()
    s3.wire.cut()
    try:
        assert machine.offloader.sweep() == 0
        assert machine.offloader.waiting == 1
        failure = machine.offloader.failure()
        assert failure is not None and "cannot be used" in failure and "1 files wait on the spool" in failure
        with open_layer(machine.blobs, machine.row) as sound:
            assert sound.samples == 3_200
    finally:
        s3.wire.mend()
    assert machine.offloader.sweep() == 1
    assert not machine.offloader.waiting
    assert machine.row.spool is None


def test_sweep_completes_the_row_of_a_killed_move(machine: Machine) -> None:
    machine.end()
    machine.blobs.upload(machine.file.path)
    before = machine.row
    assert before.spool == SPOOL
    machine.offloader.sweep()
    assert machine.row == replace(before, spool=None)
    assert machine.names == [machine.file.path]


def test_file_on_another_spool_is_unavailable_until_moved(machine: Machine) -> None:
    elsewhere = BlobStore(machine.installation.folder / "another machine", machine.objects)
    other = Offloader(machine.installation.database, elsewhere, machine.installation.clock, "other-2")
    machine.end()
    assert other.sweep() == 0
    with pytest.raises(StoreUnavailableError, match="still on the spool of here-1"):
        open_layer(elsewhere, machine.row)
    machine.offloader.sweep()
    with open_layer(elsewhere, machine.row) as sound:
        assert sound.samples == 3_200


def test_peaks_saved_during_an_outage_are_moved_later(machine: Machine, s3: S3Server) -> None:
    s3.wire.cut()
    try:
        save_peaks(machine.blobs, "ab" * 32, 20, FilePeaks(100, ((0.5, 0.25),)))
    finally:
        s3.wire.mend()
    assert machine.offloader.sweep() == 1
    assert [found.key for found in machine.objects.list_folder("peaks")] == [f"peaks/{'ab' * 32}/20.json"]


def test_different_bytes_under_a_used_name_are_set_aside(machine: Machine) -> None:
    machine.end()
    machine.offloader.sweep()
    machine.installation.blobs.put(machine.file.path, [b"something else"])
    machine.save_row(replace(machine.file, spool=SPOOL))
    machine.offloader.sweep()
    assert machine.blobs.digest(machine.file.path) == machine.file.sha256
    assert (
        machine.installation.blobs.root / "unclaimed" / machine.file.path
    ).read_bytes() == b"something else"
