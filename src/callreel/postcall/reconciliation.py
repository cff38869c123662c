"""Asking the carrier about calls whose recording nobody told us of.

Callbacks can be lost: the carrier tries for 15 seconds and no longer. So a call that ended is looked up on the carrier's
list after a while, again at growing distances, and given up with a note that a person sees.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from callreel.carrier_client.circuit_breaker import CircuitBreaker
from callreel.carrier_client.client import CarrierRecordings
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.errors import CarrierError
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.recording import CloudState
from callreel.runtime.clock import Clock
from callreel.store.calls import recordings
from callreel.store.calls.recordings import UnsettledCall
from callreel.store.db.database import Database

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LookAgain:
    """When to look: first `grace_s` after the end, then after twice the time that has passed, until `deadline_s`."""

    grace_s: float = 60.0
    deadline_s: float = 86_400.0

    def due(self, ended_at: datetime, last_look: datetime | None, now: datetime) -> bool:
        """Whether a call that ended at `ended_at` is to be looked up at `now`."""
        age_s = (now - ended_at).total_seconds()
        if last_look is None:
            return age_s >= self.grace_s
        return age_s >= 2 * (last_look - ended_at).total_seconds() or self.over(ended_at, now)

    def over(self, ended_at: datetime, now: datetime) -> bool:
        """Whether there is no more hope of a recording."""
        return (now - ended_at).total_seconds() >= self.deadline_s


def missing_sid(call_id: CallId) -> RecordingSid:
    """The row of a call for which the carrier has no recording at all; no carrier id looks like it."""
    return RecordingSid(f"none-{call_id}")


class Reconciler:
    """One task that looks after calls in state ENDED. What it finds is taken in as a callback would be."""

    def __init__(
        self,
        database: Database,
        publisher: EventPublisher,
        carrier: CarrierRecordings,
        clock: Clock,
        when: LookAgain,
        *,
        record: bool,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._carrier = carrier
        self._clock = clock
        self._when = when
        self._record = record
        self._pause = CircuitBreaker(clock)
        self._looked: dict[CallId, datetime] = {}

    async def run(self, leads: Callable[[], bool], every_s: float = 1.0) -> None:
        """Until cancelled, while `leads`: of many servers one looks."""
        while True:
            try:
                if leads():
                    await asyncio.to_thread(self.sweep)
            except Exception:
                log.exception("looking for recordings failed; trying again")
            await asyncio.sleep(every_s)

    def sweep(self) -> None:
        """Look up every call that is due. Blocking."""
        now = self._clock.now()
        with self._database.read() as conn:
            unheard = recordings.unsettled_calls(conn)
        waiting = {call.call_id for call in unheard}
        self._looked = {call_id: at for call_id, at in self._looked.items() if call_id in waiting}
        for call in unheard:
            if not self._record:
                self._give_up(call, "recording is switched off")
            elif self._when.due(call.ended_at, self._looked.get(call.call_id), now) and self._may_ask(
                call, now
            ):
                self._looked[call.call_id] = now
                self._look_up(call, now)

    def _may_ask(self, call: UnsettledCall, now: datetime) -> bool:
        """Not while the carrier is left alone, unless the call has waited for so long that it is given up anyway."""
        return not self._pause.holds or self._when.over(call.ended_at, now)

    def _look_up(self, call: UnsettledCall, now: datetime) -> None:
        why = self._asked(call)
        over = self._when.over(call.ended_at, now)
        if why is not None and (over or not self._carrier.usable):
            self._give_up(call, why)

    def _asked(self, call: UnsettledCall) -> str | None:
        """Ask for the call's recordings and take them in. None when one is settled, else why none is."""
        if not self._carrier.usable:
            return "no callback came, and no credentials to ask with"
        if not self._pause.holds:
            try:
                settled = self._take_in(call)
            except CarrierError as error:
                wait_s = self._pause.refused(error)
                log.warning(
                    "asking for a recording: %s; again in %.0f s",
                    error,
                    wait_s,
                    extra={"call_id": call.call_id},
                )
            else:
                self._pause.answered()
                return None if settled else "no callback came"
        return f"no callback came, and the carrier could not be asked: {self._pause.why}"

    def _take_in(self, call: UnsettledCall) -> int:
        """Hear what the carrier lists for the call; answers how many of them are settled."""
        settled = 0
        for found in self._carrier.of_leg(call.leg_sid):
            state = found.cloud_state
            if state is None:
                continue
            settled += state not in recordings.UNSETTLED
            self._hear(
                call,
                found.sid,
                state,
                found.status,
                found.channels,
                found.duration_s,
                recordings.error_number(found.error_code),
            )
        return settled

    def _give_up(self, call: UnsettledCall, why: str) -> None:
        with self._database.read() as conn:
            known = recordings.of_call(conn, call.call_id)
        sid = known[0].sid if known else missing_sid(call.call_id)
        log.warning("no recording: %s", why, extra={"call_id": call.call_id})
        self._hear(call, sid, CloudState.MISSING, why, None, None, None)

    def _hear(
        self,
        call: UnsettledCall,
        sid: RecordingSid,
        state: CloudState,
        told: str,
        channels: int | None,
        duration_s: int | None,
        error_code: int | None,
    ) -> None:
        with self._database.write() as conn:
            row, changed = recordings.upsert(
                conn,
                recordings.RecordingRow(
                    sid=sid,
                    call_id=call.call_id,
                    leg_sid=call.leg_sid,
                    state=state,
                    carrier_status=told,
                    channels=channels,
                    duration_s=duration_s,
                    error_code=error_code,
                    updated_at=self._clock.now(),
                ),
            )
            if not changed:
                return
            event = self._publisher.record(
                conn, recordings.state_event(call.call_id, row.sid, row.state, row.error_code)
            )
        self._publisher.publish(event)
