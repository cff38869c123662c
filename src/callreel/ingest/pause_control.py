"""Pausing and resuming the recordings of a call: ours in whichever process writes them, and the carrier's.

The process with the call's streams is notified first: it may take the database a moment to take the row, from which on a
call stays paused whatever is killed. Then the carrier is asked to record silence (`PauseBehavior=silence`: lengths stay
equal). Where it does not, the row and its event say so at once; `sweep` requests it again for as long as it matters.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_hex

from sqlalchemy import Connection

from callreel.carrier_client.client import CarrierRecordings
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.audit import AuditAction, AuditEvent
from callreel.domain.errors import CallreelError, CarrierError
from callreel.domain.ids import CallId, LegSid
from callreel.domain.pause import CarrierPause, PauseCause, PauseEnd
from callreel.runtime.clock import Clock
from callreel.store.audit import trail
from callreel.store.audit.pending import describe
from callreel.store.calls import calls, consents, pauses, recordings, streams
from callreel.store.calls.pauses import PauseRow
from callreel.store.db.database import Database

log = logging.getLogger(__name__)

CARRIER_TIMEOUT_S = 5.0
"""Of one request: people wait for its outcome."""
CONFIRM_S = 3.0
"""How long a request waits for the process with the call's streams."""
SWEEP_EVERY_S = 1.0
_PENDING = timedelta(seconds=2 * CARRIER_TIMEOUT_S)
_AGAIN = timedelta(seconds=1)
_POLL_S = 0.02
_POLLS_A_MESSAGE = 5
CURRENT = "Twilio.CURRENT"
"""The carrier's name for the one recording of a call that runs."""


class PauseError(CallreelError):
    """The call cannot be paused or resumed now."""


@dataclass(frozen=True, slots=True)
class PauseServices:
    """`notify(announced, call_id, announcement)` reaches the process that writes the call, fast but not surely: True silences
    the call before its row exists, False makes that process read the rows, which have the outcome of that announcement (empty:
    of none). `max_s`: a longer pause ends automatically; None: none does."""

    database: Database
    publisher: EventPublisher
    clock: Clock
    carrier: CarrierRecordings
    notify: Callable[[bool, CallId, str], None]
    max_s: float | None = None


class PauseControl:
    """Blocking; safe from any thread and in any process of the installation."""

    def __init__(self, services: PauseServices) -> None:
        self._services = services
        self._database = services.database
        self._clock = services.clock

    def announce(self, call_id: CallId, announcement: str = "") -> str:
        """Silence a call at once, wherever it is live; `pause` follows. Does not block. Returns the announcement's name."""
        announcement = announcement or token_hex(8)
        self._services.notify(True, call_id, announcement)
        return announcement

    def pause(self, call_id: CallId, cause: PauseCause, by: str = "", *, announcement: str = "") -> PauseRow:
        """Pause a live call, which `announcement` may have silenced; one that is paused stays so. Raises PauseError."""
        announcement = self.announce(call_id, announcement)
        try:
            with self._database.write() as conn:
                stamp = consents.of_call(conn, call_id)
                if stamp is not None and stamp.excludes_recording:
                    raise PauseError("the call is not recorded, so there is nothing to pause")
                row, is_new = pauses.begin(conn, call_id, cause, by, self._clock.now())
                if row is None:
                    raise PauseError("the call is over, so there is nothing to pause")
                event = self._services.publisher.record(conn, row.event) if is_new else None
                describe(cause=cause.value)
                if is_new and cause is PauseCause.PHRASE:
                    self._audit(conn, AuditAction.PAUSED, call_id, cause)
        except CallreelError:
            self._services.notify(False, call_id, announcement)
            raise
        # Not True again: a person may have resumed since, and only the rows say so.
        self._services.notify(False, call_id, announcement)
        if event is not None:
            self._services.publisher.publish(event)
            log.info("recording paused cause=%s", cause, extra={"call_id": call_id})
            self._pause_at_carrier(row)
        return self._confirmed(row, announcement, lambda found: found.start_ms is not None)

    def resume(self, call_id: CallId, ended_by: PauseEnd) -> PauseRow:
        """Resume a paused call. Raises PauseError."""
        row = self._resume_here(call_id, ended_by)
        if row is None:
            raise PauseError("the call is not paused")
        self._resume_at_carrier(row)
        return self._confirmed(row, "", lambda found: found.end_ms is not None)

    def sweep(self) -> None:
        """End pauses that last too long, and repeat what the carrier has not done yet. Raises StoreError."""
        now, max_s = self._clock.now(), self._services.max_s
        with self._database.read() as conn:
            rows = pauses.unsettled(conn)
        for place, row in enumerate(rows):
            if row.ended_at is None and max_s is not None and now - row.began_at >= timedelta(seconds=max_s):
                rows[place] = self._resume_here(row.call_id, PauseEnd.LIMIT) or row
        for row in rows:
            waited = now - row.carrier_at
            if row.ended_at is not None and waited >= _AGAIN:
                answer = self._resume_at_carrier(row)
            elif row.carrier is CarrierPause.AWAY and waited >= _AGAIN:
                answer = self._pause_at_carrier(row)
            elif row.carrier is CarrierPause.PENDING and waited >= _PENDING:
                answer = self._pause_at_carrier(row)
            else:
                continue
            if answer is CarrierPause.AWAY:
                return  # it is away for the others too

    def _resume_here(self, call_id: CallId, ended_by: PauseEnd) -> PauseRow | None:
        with self._database.write() as conn:
            row = pauses.end(conn, call_id, ended_by, self._clock.now())
            event = self._services.publisher.record(conn, row.event) if row else None
            describe(cause=ended_by.value)
            if row is not None and ended_by is PauseEnd.LIMIT:
                self._audit(conn, AuditAction.RESUMED, call_id, ended_by)
        if row is not None and event is not None:
            self._services.notify(False, call_id, "")
            self._services.publisher.publish(event)
            log.info("recording resumed ended_by=%s", ended_by, extra={"call_id": call_id})
        return row

    def _audit(
        self, conn: Connection, action: AuditAction, call_id: CallId, cause: PauseCause | PauseEnd
    ) -> None:
        """Record what a rule did; what a person did, their request records."""
        event = AuditEvent(
            self._clock.now(), action, "policy", call_id=call_id, details={"cause": cause.value}
        )
        trail.record(conn, event)

    def _pause_at_carrier(self, row: PauseRow) -> CarrierPause:
        answer, error = self._request(row.call_id, paused=True)
        changed = self._change(row.id, carrier=answer, carrier_error=error)
        if changed is not None and changed.ended_at is not None:
            self._resume_at_carrier(
                changed
            )  # meanwhile a person resumed: the order of the two requests is unknown
        return answer

    def _resume_at_carrier(self, row: PauseRow) -> CarrierPause:
        if row.carrier in (CarrierPause.NONE, CarrierPause.REFUSED):
            self._change(row.id, carrier_resumed=True)
            return row.carrier
        answer, error = self._request(row.call_id, paused=False)
        resumed = answer in (CarrierPause.PAUSED, CarrierPause.NONE)
        if row.carrier is CarrierPause.PAUSED:
            self._change(row.id, carrier_resumed=resumed, carrier_error=error)
        else:
            self._change(row.id, carrier_resumed=resumed)  # the row keeps the error of its pause
        return answer

    def _request(self, call_id: CallId, *, paused: bool) -> tuple[CarrierPause, str]:
        """Ask the carrier to pause or resume all recordings of a call; whether it did, and why not. `PAUSED`: it did."""
        carrier = self._services.carrier
        with self._database.read() as conn:
            call = calls.get(conn, call_id)
            running = [
                (LegSid(row.leg_sid), str(row.sid))
                for row in recordings.of_call(conn, call_id)
                if row.state in recordings.UNSETTLED
            ]
        if call is None:
            return CarrierPause.NONE, ""
        if not carrier.usable:
            return CarrierPause.REFUSED, "no carrier credentials are set"
        try:
            for leg_sid, sid in running or [(LegSid(call.leg_sid), CURRENT)]:
                carrier.set_paused(leg_sid, sid, paused=paused)
        except CarrierError as error:
            if error.status == 404 and not running:
                return CarrierPause.NONE, ""
            log.warning(
                "carrier recording not changed paused=%s: %s", paused, error, extra={"call_id": call_id}
            )
            return CarrierPause.AWAY if error.retryable else CarrierPause.REFUSED, str(error)
        return CarrierPause.PAUSED, ""

    def _change(self, pause_id: int, **values: object) -> PauseRow | None:
        with self._database.write() as conn:
            row = pauses.change(conn, pause_id, carrier_at=self._clock.now(), **values)
            event = self._services.publisher.record(conn, row.event) if row else None
        if event is not None:
            self._services.publisher.publish(event)
        return row

    def _confirmed(self, row: PauseRow, announcement: str, settled: Callable[[PauseRow], bool]) -> PauseRow:
        """The row once the process with the call's streams has placed it, or after `CONFIRM_S`."""
        until_s, polls = time.monotonic() + CONFIRM_S, 0
        while True:
            with self._database.read() as conn:
                found = pauses.get(conn, row.id) or row
                streaming = any(stream.ended_by is None for stream in streams.of_call(conn, row.call_id))
            if settled(found) or not streaming or time.monotonic() > until_s:
                return found
            time.sleep(_POLL_S)
            polls += 1
            if polls % _POLLS_A_MESSAGE == 0:
                self._services.notify(False, row.call_id, announcement)
