"""The newest audio of a live call, both parties mixed, as mu-law: what a listener gets.

It reads the growing files of layer 1, and so shares nothing with the process that captures the call: no queue, no lock. A
listener costs capture nothing, however slow it is. A paused stretch is silence in these files already.
"""

from typing import Final

import numpy as np

from callreel.audio import mulaw
from callreel.audio.samples import SAMPLES_PER_MS, Samples
from callreel.audio.wav import HEADER_BYTES
from callreel.domain.call import CallState, Role
from callreel.domain.errors import StoreUnavailableError
from callreel.domain.ids import CallId
from callreel.domain.intervals import Interval
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.store.audio.layer_audio import layer_range, layer_size
from callreel.store.calls import calls, layers
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore

MOST_BEHIND_MS: Final = 1_000
"""Older audio that a listener has not had is skipped."""
LANE_LAG_MS: Final = 500
"""How long a party's audio waits for the other's, which may be silent because its stream has not begun."""
_SAMPLE_BYTES: Final = 2


class LiveAudio:
    """The audio of one call for one listener, from now on. Its methods block; one thread at a time."""

    def __init__(self, database: Database, blobs: BlobStore, call_id: CallId) -> None:
        self._database = database
        self._blobs = blobs
        self._call_id = call_id
        self._position: int | None = None
        """In samples of the call; None before the first audio."""
        self.given: list[Interval] = []
        """The stretches that `newest` gave out since they were taken from here, in milliseconds of the call."""

    def newest(self) -> bytes | None:
        """The audio since the last time, at most `MOST_BEHIND_MS` of it; None when the call is over.

        Raises StoreError, as StoreUnavailableError where the files lie on another machine.
        """
        files = self._growing()
        if files is None:
            return None
        reached = [(file, self._reached(file)) for file in files]
        if not reached:
            return b""
        lengths = [length for _, length in reached]
        end = max(min(lengths), max(lengths) - LANE_LAG_MS * SAMPLES_PER_MS)
        if self._position is None:
            self._position = end
        start = max(self._position, end - MOST_BEHIND_MS * SAMPLES_PER_MS)
        if end <= start:
            return b""
        mixed = np.zeros(end - start, np.int32)
        for file, length in reached:
            samples = self._samples(file, start, min(length, end))
            mixed[: samples.size] += samples
        self._position = end
        self.given.append((start // SAMPLES_PER_MS, end // SAMPLES_PER_MS))
        return mulaw.encode(np.clip(mixed, -32_768, 32_767).astype(np.int16))

    def _growing(self) -> list[LayerFile] | None:
        """The newest file of each party: after a handover each begins with silence as long as those before."""
        with self._database.read() as conn:
            call = calls.get(conn, self._call_id)
            files = layers.of_call(conn, self._call_id) if call is not None else []
        if call is None or call.state is not CallState.LIVE:
            return None
        live = [file for file in files if file.layer is Layer.LIVE_8K]
        newest = {file.role: file for file in live if file.state is LayerState.RECORDING}
        return [newest[role] for role in Role if role in newest]

    def _reached(self, file: LayerFile) -> int:
        size = layer_size(self._blobs, file)
        if size is None:
            raise StoreUnavailableError(f"{file.path} is not on this machine")
        return max(0, size - HEADER_BYTES) // _SAMPLE_BYTES

    def _samples(self, file: LayerFile, start: int, stop: int) -> Samples:
        if stop <= start:
            return np.zeros(0, np.int16)
        first, last = (HEADER_BYTES + at * _SAMPLE_BYTES for at in (start, stop))
        return np.frombuffer(b"".join(layer_range(self._blobs, file, first, last)), "<i2").astype(np.int16)
