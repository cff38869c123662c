"""Deleting recordings at the carrier once our copy is safe, if the policy says so. Never by itself: the default is never.

A copy counts as safe when it was read again from the store, whole, and has the length and digest of its row; what was
true when it was written does not count. A recording that the carrier no longer has counts as done. Each deletion leaves
a tombstone in the same step, so that it is done once and reconciliation does not miss it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from callreel.carrier_client.client import CarrierRecordings
from callreel.domain.cost import Prices, started_minutes
from callreel.domain.errors import CarrierError, StoreError
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.recording import Layer, LayerFile
from callreel.runtime.clock import Clock
from callreel.store.audio.layer_audio import layer_digest, layer_size
from callreel.store.calls import deletions, layers
from callreel.store.calls.deletions import DeletionRow
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one recording that is due. `why` says what kept it; None when it went, or would go."""

    sid: RecordingSid
    call_id: CallId
    duration_ms: int
    why: str | None = None


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
    ) -> None:
        """`after_days`: how long after its call was closed a recording goes; None is never."""
        self._database = database
        self._blobs = blobs
        self._carrier = carrier
        self._clock = clock
        self._after_days = after_days

    def sweep(self, *, dry_run: bool = False) -> list[Outcome]:
        """Delete what is due; with `dry_run` check everything as if, and delete nothing.

        Ends at the first refusal that the next deletion would meet too; the rest waits for the next time.
        """
        if self._after_days is None:
            return []
        before = self._clock.now() - timedelta(days=self._after_days)
        with self._database.read() as conn:
            due = deletions.candidates(conn, before)
        outcomes: list[Outcome] = []
        for sid, call_id in due:
            try:
                outcomes.append(self._one(sid, call_id, dry_run))
            except CarrierError as error:
                # The same would come of the next one: credentials, a quota, a carrier that is away.
                outcomes.append(Outcome(sid, call_id, 0, str(error)))
                log.warning("deleting at the carrier stops here for now: %s", error)
                break
        return outcomes

    def _one(self, sid: RecordingSid, call_id: CallId, dry_run: bool) -> Outcome:
        with self._database.read() as conn:
            files = [file for file in layers.of_call(conn, call_id) if file.layer is Layer.CLOUD]
        kept = next((file for file in files if sid in file.path), None)
        if kept is None:
            return Outcome(sid, call_id, 0, "our copy has no row")
        why = self._doubt(kept)
        if why is None and not dry_run:
            why = self._delete(sid, call_id, kept)
        if why is not None:
            log.warning("the carrier's copy stays: %s", why, extra={"call_id": call_id})
        return Outcome(sid, call_id, kept.duration_ms, why)

    def _doubt(self, kept: LayerFile) -> str | None:
        """Why our copy, read now, is not good enough."""
        try:
            size_bytes = layer_size(self._blobs, kept)
            if size_bytes is None:
                return "our copy is gone"
            if size_bytes != kept.size_bytes:
                return f"our copy has {size_bytes} bytes and should have {kept.size_bytes}"
            if layer_digest(self._blobs, kept) != kept.sha256:
                return "our copy has another digest than its row"
        except StoreError as error:
            return f"our copy cannot be read: {error}"
        return None

    def _delete(self, sid: RecordingSid, call_id: CallId, kept: LayerFile) -> str | None:
        if not self._carrier.usable:
            return "no carrier credentials are set"
        try:
            was_there = self._carrier.delete(sid)
        except CarrierError as error:
            if error.retryable or error.status in (401, 403):
                raise
            return str(error)
        with self._database.write() as conn:
            deletions.insert(
                conn,
                DeletionRow(
                    sid, call_id, kept.sha256 or "", kept.duration_ms, not was_there, self._clock.now()
                ),
            )
        log.info("deleted the carrier's copy of a recording", extra={"call_id": call_id})
        return None


def saved_a_month(durations_ms: Sequence[int], prices: Prices) -> Decimal:
    """What no longer storing these costs less each month, at the price of storage beyond the free minutes."""
    return sum(map(started_minutes, durations_ms), 0) * prices.storage_per_minute_month
