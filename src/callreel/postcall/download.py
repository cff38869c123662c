"""Download the cloud recording and split it into one file per role."""

import logging
from contextlib import ExitStack

from callreel.audio import wav
from callreel.audio.wav import WavInfo
from callreel.carrier_client.client import CarrierRecordings
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.call import Role, Topology
from callreel.domain.errors import CallErasedError, CarrierError, StoreError
from callreel.domain.events import Json
from callreel.domain.ids import RecordingSid
from callreel.domain.recording import CloudState, Layer, LayerFile, LayerState, from_file
from callreel.postcall.call_audio import CallRows
from callreel.postcall.paused_audio import silence_pauses
from callreel.runtime.clock import Clock
from callreel.store.audio.layer_audio import open_layer
from callreel.store.audio.live_layers import layer_event
from callreel.store.audio.peaks import DEFAULT_PER_SECOND, FilePeaks, PeakBuilder, save_peaks
from callreel.store.calls import calls, consents, erasures, facts, layers, pauses, recordings, streams
from callreel.store.calls.calls import CallRow
from callreel.store.calls.recordings import RecordingRow
from callreel.store.db.database import Database
from callreel.store.files import folders
from callreel.store.files.blobs import BlobExistsError, BlobInfo, BlobStore
from callreel.store.files.part_file import PartFile
from callreel.store.files.sound_files import SoundFile

log = logging.getLogger(__name__)


class RecordingDownloader:
    """The download and split stages. Every method is one idempotent step and blocks."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        publisher: EventPublisher,
        carrier: CarrierRecordings,
        clock: Clock,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._publisher = publisher
        self._carrier = carrier
        self._clock = clock

    def rows(self, sid: RecordingSid) -> tuple[CallRow, RecordingRow]:
        """The recording and its call. Raises CallErasedError, so that no work on an erased call begins."""
        with self._database.read() as conn:
            recording = recordings.get(conn, sid)
            call = calls.get(conn, recording.call_id) if recording else None
            if recording is None or call is None or erasures.get(conn, call.id) is not None:
                raise CallErasedError(f"the call of recording {sid} was erased, or is being erased")
        return call, recording

    def download(self, sid: RecordingSid) -> None:
        """Download a recording and store it, unless a person chose during the call not to record it. Raises CarrierError, StoreError or OSError; the next attempt resumes it."""
        call, recording = self.rows(sid)
        if recording.state is CloudState.STORED or self._stopped(call):
            return
        if from_file(sid):
            raise CarrierError(
                "the recording was imported from a file, so the carrier does not have it; import the file again",
                retryable=False,
            )
        if not self._carrier.usable:
            names = "TWILIO_ACCOUNT_SID, TWILIO_API_KEY_SID and its secret"
            raise CarrierError(f"no carrier credentials are set: {names}", retryable=False)
        if recording.encrypted:
            raise CarrierError(
                "the recording is encrypted with the account's public key, which Callreel cannot decrypt; turn off "
                "Voice Recording Encryption in the carrier's console for new calls, and decrypt this one yourself",
                retryable=False,
            )
        key = f"{folders.CLOUD}/{call.leg_sid}_{sid}.wav"
        part = self._blobs.part_file(key)
        info = self._carrier.download(sid, part)
        silenced_ms = self._silence_pauses(call, recording, part, info)
        self._save(call, sid, self._blobs.commit_part(key), info, silenced_ms)

    def _stopped(self, call: CallRow) -> bool:
        with self._database.read() as conn:
            return consents.is_stopped(conn, call.id)

    def _silence_pauses(self, call: CallRow, recording: RecordingRow, part: PartFile, info: WavInfo) -> int:
        with self._database.read() as conn:
            paused = pauses.of_call(conn, call.id)
            if not paused:
                return 0
            rows = CallRows(call, layers.of_call(conn, call.id), [recording], streams.of_call(conn, call.id))
        return silence_pauses(part, info, recording, rows, paused, self._blobs)

    def _save(
        self, call: CallRow, sid: RecordingSid, blob: BlobInfo, info: WavInfo, silenced_ms: int
    ) -> None:
        file = LayerFile(
            Layer.CLOUD, None, blob.key, info.rate_hz, info.channels, info.duration_ms, blob.size_bytes, blob.sha256,
            LayerState.CLOSED,
        )  # fmt: skip
        with self._database.write() as conn:
            layers.upsert(conn, call.id, file)
            recordings.set_state(conn, sid, CloudState.STORED, self._clock.now())
            if silenced_ms:  # the digest of our copy is then not that of the carrier's
                data: dict[str, Json] = {"recording_sid": sid, "silenced_ms": silenced_ms}
                facts.note(conn, "pauses_silenced", data, self._clock.now(), call.id)
            events = [
                self._publisher.record(conn, layer_event(call.id, file)),
                self._publisher.record(conn, recordings.state_event(call.id, sid, CloudState.STORED, None)),
            ]
        self._publisher.publish(*events)

    def park(self, sid: RecordingSid, reason: str) -> None:
        """Save that the recording could not be downloaded for now, and why."""
        call = self.rows(sid)[0]
        with self._database.write() as conn:
            if not recordings.park(conn, sid, reason, self._clock.now()):
                return
            event = self._publisher.record(
                conn, recordings.state_event(call.id, sid, CloudState.PARKED, None)
            )
        self._publisher.publish(event)
        log.warning("recording parked: %s", reason, extra={"call_id": call.id})

    def split(self, sid: RecordingSid) -> int:
        """Write one file per role from a two-channel recording; returns the number of channels found, 0 without a file.

        A mono recording stays whole: it is of one party, or of both mixed and cannot be attributed.
        """
        call, _ = self.rows(sid)
        if self._stopped(call):
            return 0
        with self._database.read() as conn:
            files = layers.of_call(conn, call.id)
        whole = next((f for f in files if f.layer is Layer.CLOUD and sid in f.path), None)
        if whole is None:
            raise StoreError(f"recording {sid} has no file to split")
        with open_layer(self._blobs, whole) as sound:
            if sound.channels == 2:
                self._split(call, sid, whole, sound)
            return sound.channels

    def _split(self, call: CallRow, sid: RecordingSid, whole: LayerFile, sound: SoundFile) -> None:
        """Read the file once: both channels, their digests, and the waveforms of all three."""
        topology = Topology(call.inbound_role)
        roles = [topology.role_of_channel(number) for number in (1, 2)]
        # A call can have more than one recording; the first one has the short names.
        for stem in (call.leg_sid, f"{call.leg_sid}_{sid}"):
            try:
                made = self._write_channels(sound, [f"{folders.CLOUD}/{stem}_{role}.wav" for role in roles])
                break
            except BlobExistsError:
                continue
        else:
            raise StoreError(f"the channels of recording {sid} are stored already, with other samples")
        blobs, waveform = made
        self._save_peaks(whole.sha256, waveform)
        for number, (role, blob) in enumerate(zip(roles, blobs, strict=True)):
            self._save_peaks(blob.sha256, FilePeaks(waveform.duration_ms, (waveform.channels[number],)))
            self._save_channel(call, role, sound, blob)

    def _write_channels(self, sound: SoundFile, keys: list[str]) -> tuple[list[BlobInfo], FilePeaks]:
        peaks = PeakBuilder(sound.rate_hz, sound.channels, DEFAULT_PER_SECOND)
        with ExitStack() as stack:
            outputs = [stack.enter_context(self._blobs.open_writer(key)) for key in keys]
            for output in outputs:
                output.write(wav.header(sound.samples * 2, sound.rate_hz))
            for block in sound.blocks():
                peaks.push(block)
                for output, channel in zip(outputs, block.T, strict=True):
                    output.write(channel.astype("<i2").tobytes())
            return [output.commit() for output in outputs], peaks.finish()

    def _save_peaks(self, sha256: str | None, waveform: FilePeaks) -> None:
        if sha256 is not None:
            save_peaks(self._blobs, sha256, DEFAULT_PER_SECOND, waveform)

    def _save_channel(self, call: CallRow, role: Role, sound: SoundFile, blob: BlobInfo) -> None:
        file = LayerFile(
            Layer.CLOUD_CHANNEL, role, blob.key, sound.rate_hz, 1, sound.duration_ms, blob.size_bytes,
            blob.sha256, LayerState.CLOSED,
        )  # fmt: skip
        with self._database.write() as conn:
            layers.upsert(conn, call.id, file)
            event = self._publisher.record(conn, layer_event(call.id, file))
        self._publisher.publish(event)
