"""Layer 3 comes home: one attempt to fetch a recording, and its split into one file a role."""

import logging
import random
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

from callreel.audio import wav
from callreel.audio.split import split_channels
from callreel.audio.wav import WavInfo
from callreel.carrier_client.client import CarrierRecordings, FetchFailed
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.call import Role, Topology
from callreel.domain.errors import StoreAwayError, StoreError
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.recording import CloudState, Layer, LayerFile, LayerState
from callreel.runtime.clock import Clock
from callreel.runtime.retry import Park, Problem, decide
from callreel.store.audio.layer_audio import open_layer
from callreel.store.audio.live_layers import layer_event
from callreel.store.audio.peaks import DEFAULT_PER_SECOND, FilePeaks, PeakBuilder, save_peaks
from callreel.store.calls import calls, layers, recordings
from callreel.store.calls.calls import CallRow
from callreel.store.calls.recordings import RecordingRow
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobExistsError, BlobInfo, BlobStore
from callreel.store.files.sound_files import SoundFile

log = logging.getLogger(__name__)

FOLDER = "twilio_recordings"
OBJECT_STORE_AWAY = 503
"""For `decide`: as a carrier that is not ready. What was fetched lies on the spool and is not fetched again."""


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """`max_attempts` bounds how often a recording is asked for before it is parked."""

    max_attempts: int = 12


class RecordingDownloader:
    """The fetch and split stages. Every method is one idempotent step and blocks."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        publisher: EventPublisher,
        carrier: CarrierRecordings,
        clock: Clock,
        options: FetchOptions,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._publisher = publisher
        self._carrier = carrier
        self._clock = clock
        self._options = options

    def rows(self, sid: RecordingSid) -> tuple[CallRow, RecordingRow]:
        """The recording and its call, which are known to exist once a stage runs."""
        with self._database.read() as conn:
            recording = recordings.get(conn, sid)
            call = calls.get(conn, recording.call_id) if recording else None
        if recording is None or call is None:
            raise StoreError(f"recording {sid} should have a row and a call, and has not")
        return call, recording

    def attempt(self, sid: RecordingSid, attempt: int) -> float | None:
        """Fetch once. None when it is over, stored or parked; else the seconds to wait before the next attempt."""
        call, recording = self.rows(sid)
        if recording.state is CloudState.STORED:
            return None
        key = f"{FOLDER}/{call.leg_sid}_{sid}.wav"
        if not self._carrier.usable:
            self._park(
                call.id,
                sid,
                "no carrier credentials are set: TWILIO_ACCOUNT_SID, TWILIO_API_KEY_SID and its secret",
            )
            return None
        try:
            info = self._carrier.bring(sid, self._blobs.part_path(key))
            blob = self._blobs.commit_part(key)
        except StoreAwayError as error:
            return self._later(call.id, sid, Problem(str(error), OBJECT_STORE_AWAY), attempt)
        except (StoreError, OSError) as error:
            self._park(call.id, sid, f"it could not be kept: {error}")
            return None
        except FetchFailed as failure:
            return self._later(call.id, sid, failure.problem, attempt)
        self._keep(call, sid, blob, info)
        return None

    def _later(self, call_id: CallId, sid: RecordingSid, problem: Problem, attempt: int) -> float | None:
        decision = decide(problem, attempt, max_attempts=self._options.max_attempts, spread=random.random())
        if isinstance(decision, Park):
            self._park(call_id, sid, decision.why, decision.after_s)
            return None
        log.info("fetch %d: %s", attempt, problem.what, extra={"call_id": call_id})
        return decision.after_s

    def _keep(self, call: CallRow, sid: RecordingSid, blob: BlobInfo, info: WavInfo) -> None:
        file = LayerFile(
            Layer.CLOUD, None, blob.key, info.rate_hz, info.channels, info.duration_ms, blob.size_bytes, blob.sha256,
            LayerState.CLOSED,
        )  # fmt: skip
        with self._database.write() as conn:
            layers.upsert(conn, call.id, file)
            recordings.set_state(conn, sid, CloudState.STORED, self._clock.now())
            told = [
                self._publisher.record(conn, layer_event(call.id, file)),
                self._publisher.record(conn, recordings.state_event(call.id, sid, CloudState.STORED, None)),
            ]
        self._publisher.publish(*told)

    def _park(self, call_id: CallId, sid: RecordingSid, why: str, after_s: float | None = None) -> None:
        log.warning("recording parked: %s", why, extra={"call_id": call_id})
        now = self._clock.now()
        retry_at = None if after_s is None else now + timedelta(seconds=after_s)
        with self._database.write() as conn:
            recordings.set_state(conn, sid, CloudState.PARKED, now)
            recordings.set_stage(conn, sid, "fetch", why, retry_at)
            event = self._publisher.record(
                conn, recordings.state_event(call_id, sid, CloudState.PARKED, None)
            )
        self._publisher.publish(event)

    def split(self, sid: RecordingSid) -> int:
        """One file a role from a two-channel recording; answers the number of channels found.

        A recording of one track, being mono, is that party's; one of both mixed together is nobody's and stays whole.
        """
        call, _ = self.rows(sid)
        with self._database.read() as conn:
            files = layers.of_call(conn, call.id)
        whole = next((f for f in files if f.layer is Layer.CLOUD and sid in f.path), None)
        if whole is None:
            raise StoreError(f"recording {sid} should have a file, and has none")
        with open_layer(self._blobs, whole) as sound:
            if sound.channels == 2:
                self._split(call, sid, whole, sound)
            return sound.channels

    def _split(self, call: CallRow, sid: RecordingSid, whole: LayerFile, sound: SoundFile) -> None:
        """Once through the file: both channels, their digests, and the waveforms of all three."""
        topology = Topology(call.inbound_role)
        roles = [topology.role_of_channel(number) for number in (1, 2)]
        # A call can have more than one recording; the first one has the short names.
        for stem in (call.leg_sid, f"{call.leg_sid}_{sid}"):
            try:
                made = self._written(sound, [f"{FOLDER}/{stem}_{role}.wav" for role in roles])
                break
            except BlobExistsError:
                continue
        else:
            raise StoreError(f"the channels of recording {sid} are kept already, with other samples")
        blobs, drawn = made
        self._draw(whole.sha256, drawn)
        for number, (role, blob) in enumerate(zip(roles, blobs, strict=True)):
            self._draw(blob.sha256, FilePeaks(drawn.duration_ms, (drawn.channels[number],)))
            self._keep_channel(call, role, sound, blob)

    def _written(self, sound: SoundFile, keys: list[str]) -> tuple[list[BlobInfo], FilePeaks]:
        drawing = PeakBuilder(sound.rate_hz, sound.channels, DEFAULT_PER_SECOND)
        with ExitStack() as stack:
            outputs = [stack.enter_context(self._blobs.open_writer(key)) for key in keys]
            for output in outputs:
                output.write(wav.header(sound.samples * 2, sound.rate_hz))
            for block in sound.blocks():
                drawing.push(block)
                for output, channel in zip(outputs, split_channels(block), strict=True):
                    output.write(channel.astype("<i2").tobytes())
            return [output.commit() for output in outputs], drawing.finish()

    def _draw(self, sha256: str | None, drawn: FilePeaks) -> None:
        if sha256 is not None:
            save_peaks(self._blobs, sha256, DEFAULT_PER_SECOND, drawn)

    def _keep_channel(self, call: CallRow, role: Role, sound: SoundFile, blob: BlobInfo) -> None:
        file = LayerFile(
            Layer.CLOUD_CHANNEL, role, blob.key, sound.rate_hz, 1, sound.duration_ms, blob.size_bytes,
            blob.sha256, LayerState.CLOSED,
        )  # fmt: skip
        with self._database.write() as conn:
            layers.upsert(conn, call.id, file)
            event = self._publisher.record(conn, layer_event(call.id, file))
        self._publisher.publish(event)
