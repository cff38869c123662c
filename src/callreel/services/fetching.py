"""Layer 3 comes home: one attempt to fetch a recording, and its split into one file a role."""

import logging
import random
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from callreel.audio.split import split_channels
from callreel.audio.wav import WavInfo
from callreel.domain.call import Role, Topology
from callreel.domain.errors import StoreError
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.recording import CloudState, Layer, LayerFile, LayerState
from callreel.services.announce import Announcer
from callreel.services.callbacks import recording_event
from callreel.services.clock import Clock
from callreel.services.cloud import CarrierRecordings, FetchFailed
from callreel.services.layer_files import layer_event
from callreel.services.retry import Park, decide
from callreel.services.wav_files import read_wav, wav_chunks
from callreel.store import calls, layers, recordings
from callreel.store.blobs import BlobInfo, BlobStore
from callreel.store.calls import CallRow
from callreel.store.database import Database
from callreel.store.recordings import RecordingRow

log = logging.getLogger(__name__)

FOLDER = "twilio_recordings"


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """`max_attempts` bounds how often a recording is asked for before it is parked."""

    max_attempts: int = 12


class Fetching:
    """The fetch and split stages. Every method is one idempotent step and blocks."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        announcer: Announcer,
        carrier: CarrierRecordings,
        clock: Clock,
        options: FetchOptions,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._announcer = announcer
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
        except (StoreError, OSError) as error:
            self._park(call.id, sid, f"it could not be kept: {error}")
            return None
        except FetchFailed as failure:
            decision = decide(
                failure.problem, attempt, max_attempts=self._options.max_attempts, spread=random.random()
            )
            if isinstance(decision, Park):
                self._park(call.id, sid, decision.why, decision.after_s)
                return None
            log.info("fetch %d: %s", attempt, failure, extra={"call_id": call.id})
            return decision.after_s
        self._keep(call, sid, blob, info)
        return None

    def _keep(self, call: CallRow, sid: RecordingSid, blob: BlobInfo, info: WavInfo) -> None:
        file = LayerFile(
            Layer.CLOUD, None, blob.key, info.rate_hz, info.channels, info.duration_ms, blob.size_bytes, blob.sha256,
            LayerState.CLOSED,
        )  # fmt: skip
        with self._database.write() as conn:
            layers.upsert(conn, call.id, file)
            recordings.set_state(conn, sid, CloudState.STORED, self._clock.now())
            told = [
                self._announcer.record(conn, layer_event(call.id, file)),
                self._announcer.record(conn, recording_event(call.id, sid, CloudState.STORED, None)),
            ]
        self._announcer.tell(*told)

    def _park(self, call_id: CallId, sid: RecordingSid, why: str, after_s: float | None = None) -> None:
        log.warning("recording parked: %s", why, extra={"call_id": call_id})
        now = self._clock.now()
        retry_at = None if after_s is None else now + timedelta(seconds=after_s)
        with self._database.write() as conn:
            recordings.set_state(conn, sid, CloudState.PARKED, now)
            recordings.set_stage(conn, sid, "fetch", why, retry_at)
            event = self._announcer.record(conn, recording_event(call_id, sid, CloudState.PARKED, None))
        self._announcer.tell(event)

    def split(self, sid: RecordingSid) -> int:
        """One file a role from a two-channel recording; answers the number of channels found.

        A recording of one track, being mono, is that party's; one of both mixed together is nobody's and stays whole.
        """
        call, recording = self.rows(sid)
        stored = self._blobs.path(f"{FOLDER}/{call.leg_sid}_{sid}.wav")
        samples, rate_hz = read_wav(stored)
        channels = split_channels(samples)
        topology = Topology(call.inbound_role)
        if len(channels) == 2:
            for number, channel in enumerate(channels, start=1):
                self._keep_channel(call, sid, topology.role_of_channel(number), channel, rate_hz)
        return len(channels)

    def _keep_channel(
        self, call: CallRow, sid: RecordingSid, role: Role, channel: npt.NDArray[np.int16], rate_hz: int
    ) -> None:
        short = f"{FOLDER}/{call.leg_sid}_{role}.wav"
        try:
            blob = self._blobs.put(short, wav_chunks(channel, rate_hz))
        except StoreError:
            # A call can have more than one recording; the first one has the short name.
            blob = self._blobs.put(f"{FOLDER}/{call.leg_sid}_{sid}_{role}.wav", wav_chunks(channel, rate_hz))
        file = LayerFile(
            Layer.CLOUD_CHANNEL, role, blob.key, rate_hz, 1, channel.size * 1000 // rate_hz, blob.size_bytes,
            blob.sha256, LayerState.CLOSED,
        )  # fmt: skip
        with self._database.write() as conn:
            layers.upsert(conn, call.id, file)
            event = self._announcer.record(conn, layer_event(call.id, file))
        self._announcer.tell(event)


def channel_path(blobs: BlobStore, files: list[LayerFile], role: Role) -> Path | None:
    """The split file of `role`, if the call has one; the first recording's, which has the shortest name."""
    keys = [file.path for file in files if file.layer is Layer.CLOUD_CHANNEL and file.role is role]
    return blobs.path(min(keys, key=len)) if keys else None
