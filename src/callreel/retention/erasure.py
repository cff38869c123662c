"""Erases a call: its audio in every form, its text, its numbers, here and at the carrier.

The row in `erasures` is the order, and the tombstone when it is done; a durable workflow carries it out and retries for as
long as it takes. The steps are in an order that survives a kill: the carrier's copies, our files, and last, in one
transaction, the rows that name them. Each step is idempotent. Backups made before keep their copies.
"""

import logging
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from callreel.carrier_client.client import CarrierRecordings
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.audit import AuditAction, AuditEvent
from callreel.domain.erasure import AtCarrier
from callreel.domain.errors import StoreError, StoreUnavailableError
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.recording import LayerFile, from_file
from callreel.domain.webhook import WebhookEvent
from callreel.domain.work import Workflow, WorkItem, WorkState
from callreel.retention.erasure_orders import NO_CREDENTIALS
from callreel.runtime.clock import Clock
from callreel.store.audio import derived_cache, peaks
from callreel.store.audit import trail
from callreel.store.calls import calls, erasures, layers, legs, recordings, streams
from callreel.store.calls.calls import CallRow
from callreel.store.calls.erasures import ErasureRow
from callreel.store.db.database import Database
from callreel.store.db.scrub import scrub
from callreel.store.files.blobs import BlobStore
from callreel.store.webhooks import deliveries

log = logging.getLogger(__name__)


def sids_of(conn: Connection, call: CallRow) -> list[str]:
    """What the carrier calls the call and its parts."""
    sids: list[str] = [call.leg_sid, *(leg.sid for leg in legs.of_call(conn, call.id))]
    sids += [stream.sid for stream in streams.of_call(conn, call.id)]
    return sids + [row.sid for row in recordings.of_call(conn, call.id)]


class Eraser:
    """Blocking."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        carrier: CarrierRecordings,
        publisher: EventPublisher,
        clock: Clock,
        *,
        unfinished: Callable[..., Sequence[WorkItem]],
    ) -> None:
        """`unfinished` returns the workflows on recordings, by SID, that have not ended."""
        self._database = database
        self._blobs = blobs
        self._carrier = carrier
        self._publisher = publisher
        self._clock = clock
        self._unfinished = unfinished

    def erase(self, call_id: CallId) -> ErasureRow:
        """Carry out an order, or the rest of it; returns the tombstone.

        Raises StoreError, StoreUnavailableError, CarrierError or OSError when it cannot be completed now.
        """
        for _, work in self.steps(call_id):
            work()
        return self._order(call_id)

    def steps(self, call_id: CallId) -> Sequence[tuple[str, Callable[[], None]]]:
        """The steps of an erasure by name, in their order. Each may run twice."""
        return (
            ("carrier", lambda: self._erase_at_carrier(call_id)),
            ("files", lambda: self._erase_files(call_id)),
            ("rows", lambda: self._erase_rows(call_id)),
        )

    def _order(self, call_id: CallId) -> ErasureRow:
        with self._database.read() as conn:
            order = erasures.get(conn, call_id)
        if order is None:
            raise StoreError(f"no erasure of call {call_id} was ordered")
        return order

    def _erase_files(self, call_id: CallId) -> None:
        with self._database.read() as conn:
            files = layers.of_call(conn, call_id)
        with self._database.write() as conn:
            if files:
                erasures.set_files(conn, call_id, {file.path: file.sha256 for file in files})
        for file in files:
            erase_file(self._blobs, file)
        left = [file.path for file in files if self._blobs.stat(file.path) is not None]
        if left:
            raise StoreError(f"{len(left)} of {len(files)} files still exist after their deletion")

    def _erase_rows(self, call_id: CallId) -> None:
        """Delete the rows in one transaction, and make them unreadable in the database's files."""
        with self._database.read() as conn:
            call = calls.get(conn, call_id)
            files = layers.of_call(conn, call_id)
            sids = sids_of(conn, call) if call is not None else []
        if call is not None:
            by = self._order(call_id).by
            with self._database.write() as conn:
                counts = erasures.counts(conn, call_id)
                now = self._clock.now()
                erasures.delete_call(conn, call_id, sids, counts, now)
                details = {"files": len(files)}
                trail.record(conn, AuditEvent(now, AuditAction.ERASED, by, call_id=call_id, details=details))
                deliveries.announce(conn, WebhookEvent.CALL_ERASED, {"call_id": call_id}, now)
            for file in files:
                erase_derived(self._blobs, file)  # a reader may have made them meanwhile
            self._publisher.publish(LiveEvent(call_id, EventKind.CALL, {"state": "erased"}))
            log.info("call erased files=%d", len(files), extra={"call_id": call_id})
        scrub(self._database)

    def _erase_at_carrier(self, call_id: CallId) -> None:
        """Delete the carrier's recordings of the call, also those without a callback, and its transcriptions of them."""
        ordered = self._order(call_id)
        with self._database.read() as conn:
            call = calls.get(conn, call_id)
            known = recordings.at_carrier(conn, call_id)
            files = layers.of_call(conn, call_id)
            sids = [row.sid for row in recordings.of_call(conn, call_id)]
        if call is None:
            return  # another process completed it
        if any(
            item.state is WorkState.RUNNING and item.workflow is not Workflow.ERASE
            for item in self._unfinished(*sids, call_id)
        ):
            # No other work on it can start: each workflow checks for the order first (`CallErasedError`).
            raise StoreError("a workflow is processing a recording of the call; the erasure waits for it")
        refuse_elsewhere(self._blobs, files)
        outcomes = dict(ordered.recordings)
        if not ordered.at_carrier:
            outcomes |= {sid: {"outcome": AtCarrier.KEPT.value, "transcriptions": 0} for sid in known}
            with self._database.write() as conn:
                erasures.set_recordings(conn, call_id, outcomes)
            return
        if not self._carrier.usable:
            if not known:
                return
            raise StoreError(NO_CREDENTIALS)
        if from_file(call.leg_sid):
            return
        listed = [found.sid for found in self._carrier.of_leg(call.leg_sid) if found.cloud_state is not None]
        for sid in dict.fromkeys([*known, *listed]):
            if sid in outcomes:
                continue
            erased = self._carrier.erase(sid)
            outcome = AtCarrier.DELETED if erased.recording else AtCarrier.ALREADY_DELETED
            outcomes[sid] = {"outcome": outcome.value, "transcriptions": erased.transcriptions}
            with self._database.write() as conn:
                erasures.set_recordings(conn, call_id, outcomes)


def refuse_elsewhere(blobs: BlobStore, files: Sequence[LayerFile]) -> None:
    """Raises StoreUnavailableError if a file cannot be erased from here yet."""
    for file in files:
        if file.spool is not None and not blobs.path(file.path).is_file():
            raise StoreUnavailableError(
                f"{file.path} is still on the spool of {file.spool}; the erasure waits for it"
            )


def erase_file(blobs: BlobStore, file: LayerFile) -> None:
    """Delete a layer's file in every form."""
    blobs.delete(file.path)
    if file.archived is not None:
        blobs.delete(file.archived.key)
    erase_derived(blobs, file)


def erase_derived(blobs: BlobStore, file: LayerFile) -> None:
    """Delete what was derived from the file for pages and players."""
    if file.sha256 is not None:
        derived_cache.delete(blobs, file.sha256)
        peaks.delete(blobs, file.sha256)
