"""Redacts a call after its verdict: finds sensitive data, and where the policy says so destroys the originals, with proof.

Destroying comes last and in an order that survives a kill: silenced copies take the place of the files, the text is
overwritten, the carrier's recordings are deleted, and only then the original files. A legal hold forbids all but the first
step. Every step is idempotent.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from sqlalchemy import Connection

from callreel.carrier_client.client import CarrierRecordings
from callreel.domain.audit import AuditAction, AuditEvent, Via
from callreel.domain.errors import CallErasedError, StoreError
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.domain.intervals import Interval
from callreel.domain.recording import CloudState, Layer, LayerFile
from callreel.domain.redaction import RedactionPolicy
from callreel.domain.work import Workflow, order_key, subject_of
from callreel.postcall.durable import DurableEngine, RetryPolicy, Steps
from callreel.postcall.redacted_audio import rows_of, silent_intervals
from callreel.review.redacting import BY_POLICY, Redacting, on_live_clock
from callreel.runtime.clock import Clock
from callreel.store.audio import derived_cache, peaks
from callreel.store.audio.silenced_layer import silenced_range
from callreel.store.audit import trail
from callreel.store.calls import calls, deletions, erasures, holds, layers, originals, outbox, recordings
from callreel.store.db.database import Database
from callreel.store.db.scrub import scrub
from callreel.store.files.blobs import BlobStore
from callreel.store.insight import analyses
from callreel.store.transcripts import redactions
from callreel.store.transcripts.overwriting import overwrite_text

log = logging.getLogger(__name__)

_COPY = "_redacted-"


class Redactor:
    """The redact stage. Blocking; each step may run twice."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        carrier: CarrierRecordings,
        clock: Clock,
        redacting: Redacting,
        *,
        analyses: bool = False,
    ) -> None:
        """`analyses`: whether a language model analyses calls after this."""
        self._analyses = analyses
        self._database = database
        self._blobs = blobs
        self._carrier = carrier
        self._clock = clock
        self.redacting = redacting

    def register(self, engine: DurableEngine, queue: str, decide: RetryPolicy) -> None:
        """Make the workflow known before the engine is launched."""
        engine.register(Workflow.REDACT, self.workflow, queue=queue, decide=decide)

    def workflow(self, steps: Steps, key: str) -> None:
        """Redact the call that `key` names."""
        call_id = CallId(subject_of(key))
        steps.run("redact", lambda: self.redacting.find(call_id))
        if steps.run("destroys", lambda: self.destroys(call_id)):
            for name, work in self.destruction(call_id):
                steps.run(name, work)
        if steps.run("analysis", lambda: self._analysis_due(call_id)):
            steps.then(Workflow.ANALYSE, order_key(call_id, key))

    def redact(self, call_id: CallId) -> int:
        """All steps at once, for a command; returns how many redactions are new."""
        new = self.redacting.find(call_id, "command line", Via.COMMAND_LINE)
        if self.destroys(call_id):
            for _, work in self.destruction(call_id):
                work()
        return new

    def order_due(self) -> int:
        """Order the redaction of calls whose originals have to be destroyed, for example after a legal hold."""
        if not self._destroys:
            return 0
        with self._database.read() as conn:
            never = set(calls.to_redact(conn, destroy=False))
            due = [call_id for call_id in calls.to_redact(conn, destroy=True) if call_id not in never]
        now, ordered = self._clock.now(), 0
        for call_id in due:
            with self._database.write() as conn:
                row = calls.get(conn, call_id)
                if row is not None and row.redacted_at is not None and not outbox.has_order(conn, call_id):
                    outbox.put(conn, call_id, Workflow.REDACT, call_id, now)
                    ordered += 1
        return ordered

    def _analysis_due(self, call_id: CallId) -> bool:
        if not self._analyses:
            return False
        with self._database.read() as conn:
            return not analyses.usable(conn, call_id)

    @property
    def _destroys(self) -> bool:
        return self.redacting.options.policy is RedactionPolicy.REDACTED_ONLY

    def destroys(self, call_id: CallId) -> bool:
        """Whether the originals of the call are to be destroyed now."""
        if not self._destroys:
            return False
        with self._database.read() as conn:
            some = bool(redactions.in_force(conn, call_id))
        return some and not self.redacting.held(call_id)

    def destruction(self, call_id: CallId) -> Sequence[tuple[str, Callable[[], object]]]:
        """The steps that destroy the originals, by name and in their order."""
        return (
            ("silence", lambda: self._silence(call_id)),
            ("overwrite", lambda: self._overwrite(call_id)),
            ("carrier", lambda: self._delete_at_carrier(call_id)),
            ("destroy", lambda: self._destroy(call_id)),
        )

    def _silence(self, call_id: CallId) -> int:
        """Replace each file that has a redacted stretch by a silenced copy; returns how many were."""
        with self._database.read() as conn:
            rows = rows_of(conn, call_id)
            stretches = redactions.in_force(conn, call_id)
        if rows is None:
            raise CallErasedError(f"call {call_id} was erased")
        cuts = silent_intervals(rows, stretches, self.redacting.options.margin_ms)
        done = 0
        for file in rows.files:
            intervals = cuts.get(file.path, ())
            path = _copy_path(file.path, intervals)
            if intervals and path != file.path:
                self._replace(call_id, file, path, intervals)
                done += 1
        return done

    def _replace(self, call_id: CallId, file: LayerFile, path: str, intervals: Sequence[Interval]) -> None:
        info = self._blobs.put(path, silenced_range(self._blobs, file, 0, file.size_bytes, intervals))
        copy = replace(
            file, path=path, sha256=info.sha256, size_bytes=info.size_bytes, spool=None, archived=None
        )
        with self._database.write() as conn:
            self._refuse(conn, call_id)
            if not originals.replace(conn, call_id, file, copy, self._clock.now()):
                raise StoreError(f"{file.path} was replaced meanwhile")

    def _overwrite(self, call_id: CallId) -> None:
        with self._database.write() as conn:
            self._refuse(conn, call_id)
            row = calls.get(conn, call_id)
            stretches = redactions.in_force(conn, call_id)
            if row is not None:
                overwrite_text(conn, call_id, stretches, on_live_clock(row, stretches))

    def _delete_at_carrier(self, call_id: CallId) -> int:
        """Delete the carrier's recordings of the call and its transcriptions of them; returns how many recordings."""
        with self._database.read() as conn:
            self._refuse(conn, call_id)
            # Not one that was reported just now: its download may still need the carrier's copy.
            there = recordings.at_carrier(conn, call_id, (CloudState.STORED, CloudState.PARKED))
            files = [file for file in layers.of_call(conn, call_id) if file.layer is Layer.CLOUD]
        if there and not self._carrier.usable:
            raise StoreError("no carrier credentials are set to delete the unredacted recording there")
        for sid in there:
            was_there = self._carrier.erase(sid).recording
            copy = next((file for file in files if sid in file.path), None)
            with self._database.write() as conn:
                deletions.record(conn, sid, call_id, self._clock.now(), was_there=was_there, copy=copy)
        return len(there)

    def _destroy(self, call_id: CallId) -> int:
        """Delete the original files; returns how many."""
        with self._database.read() as conn:
            self._refuse(conn, call_id)
            left = [row for row in originals.of_call(conn, call_id) if row.destroyed_at is None]
            files = layers.of_call(conn, call_id)
        used = {file.archived.key for file in files if file.archived is not None}
        kept = {file.sha256 for file in files}
        for row in left:
            self._blobs.delete(row.path)
            if row.archive_key is not None and row.archive_key not in used:
                self._blobs.delete(row.archive_key)
            if row.sha256 is not None and row.sha256 not in kept:
                derived_cache.delete(self._blobs, row.sha256)
                peaks.delete(self._blobs, row.sha256)
            with self._database.write() as conn:
                originals.set_destroyed(conn, row.id, self._clock.now())
        with self._database.write() as conn:
            now = self._clock.now()
            calls.set_originals_destroyed(conn, call_id, now)
            details: dict[str, Json] = {"files": len(left)}
            action = AuditAction.ORIGINALS_DESTROYED
            trail.record(conn, AuditEvent(now, action, BY_POLICY, call_id=call_id, details=details))
        scrub(self._database)
        log.info("originals of a redacted call destroyed files=%d", len(left), extra={"call_id": call_id})
        return len(left)

    def _refuse(self, conn: Connection, call_id: CallId) -> None:
        """Raise unless the originals may be destroyed. In a transaction that writes, this locks the call."""
        calls.lock(conn, call_id)
        if erasures.get(conn, call_id) is not None:
            raise CallErasedError(f"call {call_id} was erased, or is being erased")
        if holds.current(conn, call_id) is not None:
            raise StoreError("the call is on legal hold; its originals are destroyed once it is released")


def _copy_path(path: str, intervals: Sequence[Interval]) -> str:
    """The name of the copy that is silent in `intervals`."""
    place = PurePosixPath(path)
    tag = hashlib.sha256(json.dumps(list(intervals)).encode()).hexdigest()[:12]
    return str(place.with_name(f"{place.stem.partition(_COPY)[0]}{_COPY}{tag}.wav"))
