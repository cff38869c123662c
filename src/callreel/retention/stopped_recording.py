"""Not recording a call that has begun: its recording ends, and what was captured until then is erased.

The choice is the row of the consent stamp (`stopped_at`); from its commit on nothing more may be captured. The process with
the call's streams closes them at once. `sweep` does the rest for as long as it takes: it ends the carrier's recordings, and
deletes files, text and the carrier's copies. After the end of the call it does so again and notes that all is erased.
"""

import logging
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Connection

from callreel.carrier_client.client import CarrierRecordings
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.audit import AuditAction, AuditEvent
from callreel.domain.call import CallState
from callreel.domain.consent import Mode, Stamp
from callreel.domain.errors import CallreelError, CarrierError, StoreError
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId, LegSid
from callreel.domain.recording import CloudState, LayerState, from_file
from callreel.retention.erasure import erase_file, refuse_elsewhere
from callreel.retention.erasure_orders import NO_CREDENTIALS
from callreel.runtime.clock import Clock
from callreel.store.audit import trail
from callreel.store.audit.pending import describe
from callreel.store.calls import (
    calls,
    consent_policies,
    consents,
    deletions,
    expired,
    holds,
    layers,
    recordings,
    streams,
)
from callreel.store.calls.calls import CallRow
from callreel.store.calls.recordings import RecordingRow
from callreel.store.db.database import Database
from callreel.store.db.scrub import scrub
from callreel.store.files.blobs import BlobStore

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 1.0
RETRY_S = 30.0
"""After a failure of one call."""
BY = "policy"
LATEST = timedelta(seconds=60)
"""How long after the answer the choice is offered. It is about the call as a whole; later a recording can be paused."""
CURRENT = "Twilio.CURRENT"
"""The carrier's name for the one recording of a call that runs."""
_OVER = frozenset({400, 404})
"""What the carrier answers when there is no recording to end."""
_DISCARDED = "deleted: the call is not recorded"


class StopRefusedError(CallreelError):
    """The call cannot be left unrecorded now; the message says why."""


class RecordingStop:
    """Blocking; safe from any thread and in any process of the installation."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        carrier: CarrierRecordings,
        publisher: EventPublisher,
        clock: Clock,
        notify: Callable[[CallId], None],
    ) -> None:
        """`notify` reaches the process with the call's streams, which also finds the row in its next reconciliation."""
        self._database = database
        self._blobs = blobs
        self._carrier = carrier
        self._publisher = publisher
        self._clock = clock
        self._notify = notify
        self._retry_s: dict[CallId, float] = {}

    def stop(self, call_id: CallId) -> Stamp:
        """Do not record a live call; returns its stamp. Repeated, it changes nothing. Raises StopRefusedError."""
        with self._database.write() as conn:
            call = calls.locked(conn, call_id)
            stamp = consents.of_call(conn, call_id)
            if stamp is not None and stamp.excludes_recording:
                return stamp
            stamp = self._stopped(conn, call, stamp)
            event = self._publisher.record(conn, LiveEvent(call_id, EventKind.CONSENT, stamp.summary))
        self._notify(call_id)
        self._publisher.publish(event)
        log.info("recording stopped: not to be recorded", extra={"call_id": call_id})
        self._end_at_carrier(call)
        return stamp

    def _stopped(self, conn: Connection, call: CallRow, stamp: Stamp | None) -> Stamp:
        now, policy = self._clock.now(), consent_policies.current(conn)
        if call.state is not CallState.LIVE:
            raise StopRefusedError("the call is over; an administrator can erase it")
        if not policy.policy.agents_may_skip:
            raise StopRefusedError("the recording policy does not allow this choice")
        if call.answered_at is not None and now - call.answered_at > LATEST:
            raise StopRefusedError(
                f"the call was answered more than {LATEST.total_seconds():g} seconds ago; pause the recording instead"
            )
        if holds.current(conn, call.id) is not None:
            raise StopRefusedError("the call is held")
        consents.stop(
            conn, stamp or Stamp(call_id=call.id, mode=Mode.NONE, policy_version=policy.version), now
        )
        describe(
            seconds_after_answer=round((now - call.answered_at).total_seconds()) if call.answered_at else None
        )
        found = consents.of_call(conn, call.id)
        assert found is not None
        return found

    def sweep(self) -> None:
        """Erase what was captured of all stopped calls, as far as it is possible now. Raises StoreError."""
        with self._database.read() as conn:
            found = [calls.get(conn, call_id) for call_id in consents.to_erase(conn)]
        now_s = self._clock.monotonic_s()
        self._retry_s = {call_id: at_s for call_id, at_s in self._retry_s.items() if at_s > now_s}
        for call in filter(None, found):
            if call.id in self._retry_s:
                continue
            try:
                self._erase(call)
            except CallreelError as error:
                self._retry_s[call.id] = now_s + RETRY_S
                log.warning("captured parts of a call not erased yet: %s", error, extra={"call_id": call.id})

    def _erase(self, call: CallRow) -> None:
        with self._database.read() as conn:
            recorded = recordings.of_call(conn, call.id)
            open_streams = any(stream.ended_by is None for stream in streams.of_call(conn, call.id))
            files = layers.of_call(conn, call.id)
            held = holds.current(conn, call.id) is not None
        live = call.state is CallState.LIVE
        running = [row for row in recorded if row.state in recordings.UNSETTLED]
        if live and running:
            self._end_at_carrier(call, running)
        if held:  # after the choice: what there is stays until the hold is released
            return
        if open_streams or any(file.state is LayerState.RECORDING for file in files):
            return  # the process that writes them, or the recovery of a dead one, closes them first
        self._erase_here(call.id)
        for row in recorded:
            if row.state in recordings.AT_CARRIER:
                self._discard(call, row)
        if not (live or running) and self._none_left(call):
            self._finish(call.id)

    def _erase_here(self, call_id: CallId) -> None:
        """Files first, then the rows that name them."""
        with self._database.read() as conn:
            files = layers.of_call(conn, call_id)
        refuse_elsewhere(self._blobs, files)
        for file in files:
            erase_file(self._blobs, file)
        with self._database.write() as conn:
            counts = expired.delete_captured(conn, call_id)
            if counts:
                self._audit(conn, AuditAction.RECORDING_ERASED, call_id, details=counts)
        if counts:
            scrub(self._database)

    def _audit(
        self,
        conn: Connection,
        action: AuditAction,
        call_id: CallId,
        subject: str = "",
        details: dict[str, Json] | None = None,
    ) -> None:
        event = AuditEvent(
            self._clock.now(), action, BY, call_id=call_id, subject=subject, details=details or {}
        )
        trail.record(conn, event)

    def _end_at_carrier(self, call: CallRow, running: list[RecordingRow] | None = None) -> None:
        """Ask the carrier to end its recordings of a live call; `sweep` asks again about those that still run."""
        if not self._carrier.usable:
            return
        for sid in [str(row.sid) for row in running or ()] or [CURRENT]:
            try:
                self._carrier.stop_recording(LegSid(call.leg_sid), sid)
            except CarrierError as error:
                if error.status not in _OVER:
                    log.warning("carrier recording not ended: %s", error, extra={"call_id": call.id})

    def _discard(self, call: CallRow, row: RecordingRow) -> None:
        """Delete a finished recording at the carrier."""
        if not self._carrier.usable:
            raise StoreError(NO_CREDENTIALS)
        was_there = self._carrier.erase(row.sid).recording
        with self._database.write() as conn:
            now = self._clock.now()
            deletions.record(conn, row.sid, call.id, now, was_there=was_there)
            recordings.discard(conn, row.sid, _DISCARDED, now)
            event = self._publisher.record(
                conn, recordings.state_event(call.id, row.sid, CloudState.MISSING, None)
            )
            self._audit(conn, AuditAction.DELETED_AT_CARRIER, call.id, row.sid)
        self._publisher.publish(event)

    def _none_left(self, call: CallRow) -> bool:
        """Whether the carrier lists no recording of the call; of one without a callback the row is made here."""
        if not self._carrier.usable or from_file(call.leg_sid):
            return True
        left = [
            found
            for found in self._carrier.of_leg(call.leg_sid)
            if found.cloud_state in (*recordings.UNSETTLED, *recordings.AT_CARRIER)
        ]
        for found in left:
            with self._database.write() as conn:
                recordings.upsert(conn, recordings.reported(found, call, self._clock.now()))
        return not left

    def _finish(self, call_id: CallId) -> None:
        with self._database.write() as conn:
            done = consents.set_erased(conn, call_id, self._clock.now())
            stamp = consents.of_call(conn, call_id)
            if not done or stamp is None:
                return
            event = self._publisher.record(conn, LiveEvent(call_id, EventKind.CONSENT, stamp.summary))
        self._publisher.publish(event)
        log.info("captured parts of a call erased", extra={"call_id": call_id})
