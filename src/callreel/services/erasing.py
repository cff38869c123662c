"""Erasing a call: its audio in every form, its text, its numbers, here and at the carrier. A tombstone with digests stays.

The order survives a kill: the tombstone, the carrier's copy, our files, and last the rows that name them; begun again it
goes on. What was backed up before is in the backup still.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

from callreel.domain.call import CallState
from callreel.domain.errors import CarrierError, StoreAwayError, StoreError
from callreel.domain.events import Json
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.recording import CloudState, LayerFile
from callreel.services import peaks, remade
from callreel.services.clock import Clock
from callreel.services.cloud import CarrierRecordings
from callreel.store import calls, deletions, erasures, layers, legs, recordings, streams
from callreel.store.blobs import BlobStore
from callreel.store.database import Database
from callreel.store.erasures import ErasureRow

log = logging.getLogger(__name__)

EVERY_S = 3600.0
BY_POLICY = "policy"
_THERE = (CloudState.STORED, CloudState.COMPLETED, CloudState.PARKED)


class Erasing:
    """Blocking but for `run`."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        carrier: CarrierRecordings,
        clock: Clock,
        *,
        after: timedelta | None,
    ) -> None:
        """`after`: how long after its verdict a call is erased by itself; None is never."""
        self._database = database
        self._blobs = blobs
        self._carrier = carrier
        self._clock = clock
        self._after = after

    async def run(self, leads: Callable[[], bool]) -> None:
        """Until cancelled, while `leads`: of many servers one."""
        while self._after is not None:
            await asyncio.sleep(EVERY_S)
            if leads():
                try:
                    await asyncio.to_thread(self.sweep)
                except Exception:
                    log.exception("erasing by the policy failed; trying again")

    def sweep(self) -> int:
        """Erase what the policy says is due; answers how many calls went. What cannot go waits for the next time."""
        if self._after is None:
            return 0
        with self._database.read() as conn:
            due = erasures.due(conn, self._clock.now() - self._after)
        gone = 0
        for call_id in due:
            try:
                self.erase(call_id, BY_POLICY)
                gone += 1
            except (StoreError, CarrierError) as error:
                log.error("a call cannot be erased yet: %s", error, extra={"call_id": call_id})
        return gone

    def erase(self, call_id: CallId, by: str, *, at_carrier: bool = True) -> int:
        """Erase one call; answers how many files went. `by` is who wants it, and stays.

        With `at_carrier` its recordings there go first, and nothing goes here while one cannot. Raises StoreError,
        StoreAwayError, CarrierError; begun again it goes on.
        """
        with self._database.read() as conn:
            call = calls.get(conn, call_id)
            files = layers.of_call(conn, call_id)
            recorded = recordings.of_call(conn, call_id)
            sids: list[str] = [leg.sid for leg in legs.of_call(conn, call_id)]
            sids += [stream.sid for stream in streams.of_call(conn, call_id)]
            gone = {row.sid for row in deletions.everything(conn)}
        if call is None:
            raise StoreError(f"there is no call {call_id}")
        if call.state is not CallState.CLOSED:
            raise StoreError(f"call {call_id} is not judged yet; it can be erased when it is closed")
        self._refuse_elsewhere(files)
        digests: dict[str, Json] = {file.path: file.sha256 for file in files}
        with self._database.write() as conn:
            erasures.begin(conn, ErasureRow(call_id, by, self._clock.now(), digests))
        if at_carrier:
            self._erase_there([row.sid for row in recorded if row.state in _THERE and row.sid not in gone])
        for file in files:
            self._erase_file(file)
        every_sid = [call.leg_sid, *sids, *(row.sid for row in recorded)]
        with self._database.write() as conn:
            erasures.forget_call(conn, call_id, every_sid, self._clock.now())
        log.warning("a call was erased, with %d files", len(files), extra={"call_id": call_id})
        return len(files)

    def _refuse_elsewhere(self, files: Sequence[LayerFile]) -> None:
        for file in files:
            if file.spool is not None and not self._blobs.is_here(file.path):
                raise StoreAwayError(
                    f"{file.path} is still on the spool of {file.spool}; try again in a moment"
                )

    def _erase_there(self, sids: Sequence[RecordingSid]) -> None:
        if sids and not self._carrier.usable:
            raise StoreError(
                "no carrier credentials are set to erase the recording there; set them, or leave the carrier's copy"
            )
        for sid in sids:
            self._carrier.delete(sid)

    def _erase_file(self, file: LayerFile) -> None:
        self._blobs.delete(file.path)
        if file.archived is not None:
            self._blobs.delete(file.archived.key)
        if file.sha256 is None:
            return
        remade.forget(self._blobs, file)
        folder = f"{peaks.FOLDER}/{file.sha256}"
        drawn = {blob.key for blob in self._blobs.here(folder)}
        if self._blobs.objects is not None:
            drawn |= {found.key for found in self._blobs.objects.everything(folder)}
        for key in drawn:
            self._blobs.delete(key)
