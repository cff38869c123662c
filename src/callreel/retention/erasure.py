"""Erasing a call that was asked for: its audio in every form, its text, its numbers, here and at the carrier.

The row in `erasures` is the order and says how far it is. The order of the steps survives a kill: the carrier's copies, our
files, and last, in one transaction, the rows that name them; begun again each step changes nothing twice. What fails is
tried again for as long as it takes, with growing pauses, and the row says why. What was backed up before is in the backup
still.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from datetime import timedelta

from callreel.carrier_client.client import CarrierRecordings
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.erasure import AtCarrier, ErasureStep
from callreel.domain.errors import CallreelError, CarrierError, StoreAwayError, StoreError
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId, LegSid, RecordingSid
from callreel.domain.recording import LayerFile
from callreel.retention.erasure_orders import (
    NO_CREDENTIALS,
    ErasureOrders,
    ErasureRefusedError,
    there,
)
from callreel.retention.legal_hold import NoCallError
from callreel.runtime.clock import Clock
from callreel.runtime.retry import erasing_s
from callreel.store.audio import derived_cache, peaks
from callreel.store.calls import calls, erasures, layers, legs, recordings, streams
from callreel.store.calls.erasures import ErasureRow
from callreel.store.db.database import Database
from callreel.store.db.scrub import scrub
from callreel.store.files.blobs import BlobStore

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
POLICY_EVERY_S = 3600.0
BY_POLICY = "policy"


class Erasing:
    """Blocking but for `run`."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        carrier: CarrierRecordings,
        publisher: EventPublisher,
        clock: Clock,
        *,
        after: timedelta | None,
    ) -> None:
        """`after`: how long after its verdict a call is erased by itself; None is never."""
        self._database = database
        self._blobs = blobs
        self._carrier = carrier
        self._publisher = publisher
        self._clock = clock
        self._after = after
        self._orders = ErasureOrders(database, clock, carrier_usable=carrier.usable)

    async def run(self, leads: Callable[[], bool]) -> None:
        """Until cancelled, while `leads`: of many servers one."""
        policy_at_s = self._clock.monotonic_s() + POLICY_EVERY_S
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if not leads():
                continue
            try:
                if self._clock.monotonic_s() >= policy_at_s:
                    policy_at_s = self._clock.monotonic_s() + POLICY_EVERY_S
                    await asyncio.to_thread(self.ask_by_policy)
                await asyncio.to_thread(self.sweep)
            except Exception:
                log.exception("erasing failed; trying again")

    def ask_by_policy(self) -> int:
        """Order what the policy says is due; answers how many calls. Held ones are not."""
        if self._after is None:
            return 0
        with self._database.read() as conn:
            due = erasures.due(conn, self._clock.now() - self._after)
        asked = 0
        for call_id in due:
            try:
                self._orders.ask(call_id, BY_POLICY)
                asked += 1
            except (NoCallError, ErasureRefusedError) as error:
                log.info("a call is not erased by the policy yet: %s", error, extra={"call_id": call_id})
        return asked

    def sweep(self) -> int:
        """Go on with what was ordered and does not wait; answers how many calls went."""
        with self._database.read() as conn:
            waiting = erasures.to_go_on(conn, self._clock.now())
        gone = sum(self._goes(call_id) for call_id in waiting)
        if gone:
            scrub(self._database)
        return gone

    def _goes(self, call_id: CallId) -> bool:
        try:
            self.erase(call_id)
        except (CallreelError, OSError) as error:
            log.warning("a call cannot be erased yet: %s", error, extra={"call_id": call_id})
            return False
        return True

    def erase(self, call_id: CallId) -> ErasureRow:
        """Do what was ordered for one call, or what is left of it; answers what stays.

        Raises StoreError, StoreAwayError, CarrierError and notes why, for the next attempt.
        """
        with self._database.read() as conn:
            ordered = erasures.get(conn, call_id)
        if ordered is None:
            raise StoreError(f"nobody asked to erase call {call_id}")
        if ordered.erased_at is None:
            try:
                self._erase(ordered)
            except (CallreelError, OSError) as error:
                self._failed(ordered, error)
                raise
        with self._database.read() as conn:
            done = erasures.get(conn, call_id)
        assert done is not None
        return done

    def _failed(self, ordered: ErasureRow, error: Exception) -> None:
        asked_s = error.retry_after_s if isinstance(error, CarrierError) else None
        wait_s = erasing_s(ordered.attempts + 1, spread=random.random(), asked_s=asked_s)
        trouble = str(error) if isinstance(error, CallreelError) else type(error).__name__
        with self._database.write() as conn:
            erasures.failed(conn, ordered.call_id, trouble, self._clock.now() + timedelta(seconds=wait_s))

    def _erase(self, ordered: ErasureRow) -> None:
        call_id = ordered.call_id
        with self._database.read() as conn:
            call = calls.get(conn, call_id)
            files = layers.of_call(conn, call_id)
            known = [row.sid for row in recordings.of_call(conn, call_id)]
            sids = [leg.sid for leg in legs.of_call(conn, call_id)]
            sids_of_streams = [stream.sid for stream in streams.of_call(conn, call_id)]
            at_carrier = there(conn, call_id)
            at_work = recordings.at_work(conn, call_id)
        if call is None:
            return  # another process was faster
        if at_work:
            raise StoreError("a recording of the call is being worked on again; erasing waits for it")
        self._refuse_elsewhere(files)
        self._step(call_id, ErasureStep.CARRIER)
        self._erase_there(ordered, call.leg_sid, at_carrier)
        self._step(call_id, ErasureStep.FILES, {file.path: file.sha256 for file in files})
        for file in files:
            self._erase_file(file)
        left = [file.path for file in files if self._blobs.stat(file.path) is not None]
        if left:
            raise StoreError(f"{len(left)} of {len(files)} files are still there after they were deleted")
        self._step(call_id, ErasureStep.ROWS)
        with self._database.write() as conn:
            counts = erasures.counts(conn, call_id)
            every_sid = [call.leg_sid, *sids, *sids_of_streams, *known]
            erasures.forget_call(conn, call_id, every_sid, counts, self._clock.now())
        for file in files:
            self._erase_drawn(file)  # of somebody who was reading meanwhile
        self._publisher.publish(LiveEvent(call_id, EventKind.CALL, {"state": "erased"}))
        log.info("a call was erased, with %d files", len(files), extra={"call_id": call_id})

    def _step(self, call_id: CallId, step: ErasureStep, files: dict[str, Json] | None = None) -> None:
        with self._database.write() as conn:
            erasures.set_step(conn, call_id, step)
            if files is not None:
                erasures.set_files(conn, call_id, files)

    def _refuse_elsewhere(self, files: Sequence[LayerFile]) -> None:
        for file in files:
            if file.spool is not None and not self._blobs.path(file.path).is_file():
                raise StoreAwayError(
                    f"{file.path} is still on the spool of {file.spool}; erasing waits for it"
                )

    def _erase_there(self, ordered: ErasureRow, leg_sid: LegSid, known: Sequence[RecordingSid]) -> None:
        """The carrier's recordings of the call, also those that nobody told us of, and the texts it made of them."""
        became = dict(ordered.recordings)
        if not ordered.at_carrier:
            became |= {sid: {"outcome": AtCarrier.LEFT.value, "transcriptions": 0} for sid in known}
            with self._database.write() as conn:
                erasures.set_recordings(conn, ordered.call_id, became)
            return
        if not self._carrier.usable:
            if not known:
                return
            raise StoreError(NO_CREDENTIALS)
        listed = [found.sid for found in self._carrier.of_leg(leg_sid) if found.cloud_state is not None]
        for sid in dict.fromkeys([*known, *listed]):
            if sid in became:
                continue
            texts = self._carrier.delete_transcriptions(sid)
            outcome = AtCarrier.DELETED if self._carrier.delete(sid) else AtCarrier.GONE
            became[sid] = {"outcome": outcome.value, "transcriptions": texts}
            with self._database.write() as conn:
                erasures.set_recordings(conn, ordered.call_id, became)

    def _erase_file(self, file: LayerFile) -> None:
        self._blobs.delete(file.path)
        if file.archived is not None:
            self._blobs.delete(file.archived.key)
        self._erase_drawn(file)

    def _erase_drawn(self, file: LayerFile) -> None:
        """What was made of the file for pages and players."""
        if file.sha256 is None:
            return
        derived_cache.delete(self._blobs, file)
        folder = f"{peaks.FOLDER}/{file.sha256}"
        drawn = {blob.key for blob in self._blobs.local_files(folder)}
        if self._blobs.objects is not None:
            drawn |= {found.key for found in self._blobs.objects.list_folder(folder)}
        for key in drawn:
            self._blobs.delete(key)
