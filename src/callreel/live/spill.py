"""Spilled segments: closed, but without room in the decode queue. Rows in the database; their audio is read from layer 2.

`live/transcription.py` decides when to spill and take back. Any process with room takes the rows of a dead one, once
their call is not live any more.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from callreel.audio.samples import ASR_SAMPLES_PER_MS
from callreel.domain.errors import CallreelError, StoreUnavailableError
from callreel.domain.ids import CallId
from callreel.domain.recording import Layer, LayerFile
from callreel.domain.transcript import Segment
from callreel.store.audio.layer_audio import open_layer
from callreel.store.calls import layers
from callreel.store.db.database import Database
from callreel.store.db.write_retry import retry_in_thread
from callreel.store.files.blobs import BlobStore
from callreel.store.transcripts import spilled


@dataclass(frozen=True, slots=True)
class Spilled:
    """A segment and its samples, 16 kHz [n]; none where its layer is gone."""

    call_id: CallId
    segment: Segment
    samples16k: npt.NDArray[np.int16]


class Spill:
    """For one event loop. `waiting` counts what this process spilled or found, and has not taken back."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._blobs = blobs
        self._taken: set[int] = set()
        self.waiting = 0
        self.total = 0
        """How many this process has spilled."""

    async def look(self) -> None:
        """Count waiting segments; a dead process may have left some."""
        self.waiting = await asyncio.to_thread(self._count)

    async def put(self, call_id: CallId, segment: Segment) -> None:
        """Store the segment; its samples may be dropped afterwards."""

        def keep() -> None:
            with self._database.write() as conn:
                spilled.put(conn, call_id, segment)

        self.total += 1
        await retry_in_thread("a spilled segment", keep)
        self.waiting += 1

    async def take(self, of: Collection[CallId]) -> Spilled | None:
        """The one that has waited longest, of the calls `of` and of those that are over. It is given out once.

        None when there is none, or its audio has not reached the disk yet.
        """
        return await asyncio.to_thread(self._take, list(of))

    def _count(self) -> int:
        with self._database.read() as conn:
            return spilled.count(conn) - len(self._taken)

    def _take(self, of: list[CallId]) -> Spilled | None:
        with self._database.read() as conn:
            found = spilled.oldest(conn, of, self._taken)
            if found is None:
                self.waiting = 0
                return None
            row_id, call_id, segment, live = found
            files = layers.of_call(conn, call_id)
        mine = [file for file in files if file.layer is Layer.LIVE_16K and file.role is segment.role]
        start, end = segment.start_ms * ASR_SAMPLES_PER_MS, segment.end_ms * ASR_SAMPLES_PER_MS
        try:
            samples = self._between(mine, start, end)
        except StoreUnavailableError:
            return None
        if live and samples.size < end - start:
            return None
        self._taken.add(row_id)
        self.waiting -= 1
        return Spilled(call_id, segment, samples)

    def _between(self, files: Collection[LayerFile], start: int, end: int) -> npt.NDArray[np.int16]:
        """Samples [start, end) of the file that has most of them; the older one where a call continued in another file.

        Raises StoreUnavailableError while a file is elsewhere.
        """
        best = np.zeros(0, np.int16)
        for file in files:
            try:
                with open_layer(self._blobs, file) as sound:
                    samples = sound.read(min(start, sound.samples), min(end, sound.samples))[:, 0]
            except StoreUnavailableError:
                raise
            except CallreelError:
                continue  # not there, or no sound
            if samples.size > best.size:
                best = samples
        return best
