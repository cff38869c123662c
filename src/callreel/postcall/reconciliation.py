"""Looks up recordings of which no callback arrived.

Callbacks can be lost: the carrier tries for 15 seconds and no longer. So an ended call without a settled recording is
looked up on the carrier's list after a while, again at growing intervals, and given up with a reason that a person sees.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from callreel.carrier_client.circuit_breaker import CircuitBreaker
from callreel.carrier_client.client import CarrierRecordings
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.errors import CarrierError
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.recording import CloudState
from callreel.domain.verdict import RECORDING_OFF
from callreel.postcall.recording_reports import save_report
from callreel.runtime.clock import Clock
from callreel.store.calls import consents, recordings
from callreel.store.calls.calls import CallRow
from callreel.store.calls.recordings import RecordingRow
from callreel.store.db.database import Database

log = logging.getLogger(__name__)

SWEEP_INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True)
class LookupSchedule:
    """First `grace_s` after the end, then each time that twice the time has passed, until `deadline_s`."""

    grace_s: float = 60.0
    deadline_s: float = 86_400.0

    def due(self, ended_at: datetime, last_lookup: datetime | None, now: datetime) -> bool:
        """Whether a call that ended at `ended_at` is to be looked up at `now`."""
        age_s = (now - ended_at).total_seconds()
        if last_lookup is None:
            return age_s >= self.grace_s
        return age_s >= 2 * (last_lookup - ended_at).total_seconds() or self.over(ended_at, now)

    def over(self, ended_at: datetime, now: datetime) -> bool:
        """Whether a recording is no longer expected."""
        return (now - ended_at).total_seconds() >= self.deadline_s


def missing_sid(call_id: CallId) -> RecordingSid:
    """The row of a call for which the carrier has no recording at all; no carrier SID looks like it."""
    return RecordingSid(f"none-{call_id}")


class Reconciler:
    """One job over ended calls. What it finds is saved as a callback would be."""

    def __init__(
        self,
        database: Database,
        publisher: EventPublisher,
        carrier: CarrierRecordings,
        clock: Clock,
        schedule: LookupSchedule,
        *,
        record: bool,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._carrier = carrier
        self._clock = clock
        self._schedule = schedule
        self._record = record
        self._breaker = CircuitBreaker(clock)
        self._looked_up: dict[CallId, datetime] = {}

    def sweep(self) -> None:
        """Look up every call that is due. Blocking."""
        now = self._clock.now()
        with self._database.read() as conn:
            unsettled = recordings.unsettled_calls(conn)
            stamps = consents.of_calls(conn, [call.id for call in unsettled])
        waiting = {call.id for call in unsettled}
        self._looked_up = {call_id: at for call_id, at in self._looked_up.items() if call_id in waiting}
        for call in unsettled:
            assert call.ended_at is not None
            over = self._schedule.over(call.ended_at, now)
            stamp = stamps.get(call.id)
            if not self._record:
                self._give_up(call, RECORDING_OFF.detail)
            elif stamp is not None and stamp.unrecorded is not None and not self._known(call):
                self._give_up(call, stamp.unrecorded.detail)
            elif self._schedule.due(call.ended_at, self._looked_up.get(call.id), now):
                # An open breaker postpones a lookup, unless the call has waited for so long that it is given up anyway.
                if over or not self._breaker.is_open:
                    self._looked_up[call.id] = now
                    self._look_up(call, over)

    def _look_up(self, call: CallRow, over: bool) -> None:
        reason = self._missing_because(call)
        if reason is not None and (over or not self._carrier.usable):
            self._give_up(call, reason)

    def _missing_because(self, call: CallRow) -> str | None:
        """Save what the carrier lists for the call. None when a recording is settled, else why none is."""
        if not self._carrier.usable:
            return "no callback came, and no credentials are set to look the recording up"
        if not self._breaker.is_open:
            try:
                listed = [
                    found for found in self._carrier.of_leg(call.leg_sid) if found.cloud_state is not None
                ]
            except CarrierError as error:
                wait_s = self._breaker.failed(error)
                log.warning(
                    "looking up a recording failed: %s; next in %.0f s",
                    error,
                    wait_s,
                    extra={"call_id": call.id},
                )
            else:
                self._breaker.succeeded()
                for found in listed:
                    report = recordings.reported(found, call, self._clock.now())
                    save_report(self._database, self._publisher, report)
                settled = any(found.cloud_state not in recordings.UNSETTLED for found in listed)
                return None if settled else "no callback came"
        return f"no callback came, and the carrier could not be asked: {self._breaker.reason}"

    def _known(self, call: CallRow) -> list[RecordingRow]:
        with self._database.read() as conn:
            return recordings.of_call(conn, call.id)

    def _give_up(self, call: CallRow, reason: str) -> None:
        known = self._known(call)
        sid = known[0].sid if known else missing_sid(call.id)
        log.warning("no recording: %s", reason, extra={"call_id": call.id})
        missing = RecordingRow(
            sid, call.id, call.leg_sid, CloudState.MISSING, self._clock.now(), carrier_status=reason
        )
        save_report(self._database, self._publisher, missing)
