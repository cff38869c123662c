"""Deletes recordings at the carrier once our copy is safe, where the policy says so. The default is never.

A copy is safe when it was read again from the store, complete, with the length and digest of its row; a check at writing
time does not count. A recording that the carrier no longer has counts as deleted. Each deletion leaves a tombstone, so
that it happens once and reconciliation does not report the recording as missing.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from callreel.carrier_client.client import CarrierRecordings
from callreel.domain.audit import AuditAction, AuditEvent
from callreel.domain.cost import Prices, started_minutes
from callreel.domain.errors import CarrierError, StoreError
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.pause import CarrierPause
from callreel.domain.recording import Layer, LayerFile
from callreel.runtime.clock import Clock
from callreel.store.audio.layer_audio import layer_digest, layer_size
from callreel.store.audit import trail
from callreel.store.calls import deletions, holds, layers
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome for one recording that is due. `reason` says why it was kept; None where it is deleted."""

    sid: RecordingSid
    call_id: CallId
    duration_ms: int
    reason: str | None = None


class Deletion:
    """The policy and its work. Blocking."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        carrier: CarrierRecordings,
        clock: Clock,
        *,
        after_days: int | None,
        paused: Collection[CarrierPause] = (),
    ) -> None:
        """`after_days`: how long after its call was closed a recording is deleted; None is never.

        `paused`: a recording with a pause in one of these states is deleted as soon as its call is closed.
        """
        self._database = database
        self._blobs = blobs
        self._carrier = carrier
        self._clock = clock
        self._after_days = after_days
        self._paused = paused

    def sweep(self, *, dry_run: bool = False) -> list[Outcome]:
        """Delete what is due; with `dry_run` check everything and delete nothing.

        Stops at the first failure that the next deletion would meet too; the rest waits for the next run.
        """
        days = self._after_days
        if days is None and not self._paused:
            return []
        before = None if days is None else self._clock.now() - timedelta(days=days)
        with self._database.read() as conn:
            due = deletions.candidates(conn, before, self._paused)
        outcomes: list[Outcome] = []
        for sid, call_id in due:
            try:
                outcomes.append(self._one(sid, call_id, dry_run))
            except CarrierError as error:
                # The next one would fail too: credentials, a quota, an outage.
                outcomes.append(Outcome(sid, call_id, 0, str(error)))
                log.warning("deletion at the carrier stopped: %s", error)
                break
        return outcomes

    def delete_now(self, sid: RecordingSid, call_id: CallId, by: str) -> str | None:
        """Delete one recording whatever the policy, once our copy was read again; returns why it was kept, if it was.

        Raises CarrierError for a failure that may pass.
        """
        with self._database.read() as conn:
            if sid in deletions.sids_of_call(conn, call_id):
                return None
            if call_id in holds.held(conn, [call_id]):
                return "the call is under legal hold"
        return self._one(sid, call_id, dry_run=False, by=by).reason

    def _one(self, sid: RecordingSid, call_id: CallId, dry_run: bool, by: str = "policy") -> Outcome:
        with self._database.read() as conn:
            files = [file for file in layers.of_call(conn, call_id) if file.layer is Layer.CLOUD]
        kept = next((file for file in files if sid in file.path), None)
        if kept is None:
            return Outcome(sid, call_id, 0, "our copy has no row")
        reason = self._doubt(kept)
        if reason is None and not dry_run:
            reason = self._delete(sid, call_id, kept, by)
        if reason is not None:
            log.warning("the carrier's copy is kept: %s", reason, extra={"call_id": call_id})
        return Outcome(sid, call_id, kept.duration_ms, reason)

    def _doubt(self, kept: LayerFile) -> str | None:
        """The reason why our copy, read now, is not safe; None if it is."""
        try:
            size_bytes = layer_size(self._blobs, kept)
            if size_bytes is None:
                return "our copy is missing"
            if size_bytes != kept.size_bytes:
                return f"our copy has {size_bytes} bytes, expected {kept.size_bytes}"
            if layer_digest(self._blobs, kept) != kept.sha256:
                return "the digest of our copy is not the one of its row"
        except StoreError as error:
            return f"our copy cannot be read: {error}"
        return None

    def _delete(self, sid: RecordingSid, call_id: CallId, kept: LayerFile, by: str) -> str | None:
        if not self._carrier.usable:
            return "no carrier credentials are set"
        try:
            was_there = self._carrier.delete(sid)
        except CarrierError as error:
            if error.retryable or error.status in (401, 403):
                raise
            return str(error)
        now = self._clock.now()
        with self._database.write() as conn:
            deletions.record(conn, sid, call_id, now, was_there=was_there, copy=kept)
            event = AuditEvent(now, AuditAction.DELETED_AT_CARRIER, by, call_id=call_id, subject=sid)
            trail.record(conn, event)
        log.info("carrier recording deleted", extra={"call_id": call_id})
        return None


def saved_a_month(durations_ms: Sequence[int], prices: Prices) -> Decimal:
    """What the carrier no longer charges each month, at the price of storage beyond the free minutes."""
    return sum(map(started_minutes, durations_ms), 0) * prices.storage_per_minute_month
