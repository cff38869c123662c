"""Calls that live in the rows although nothing is heard of them: no stream runs, and no callback told of their end.

The carrier knows whether their leg is over; then they end as if it had said so. Not for calls whose process died, which
`recovery` ends, nor for recordings that nobody told of, which `reconcile` looks for once a call has ended.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from callreel.carrier_client.circuit_breaker import CircuitBreaker
from callreel.carrier_client.client import CarrierRecordings
from callreel.domain.errors import CarrierError
from callreel.domain.ids import CallId
from callreel.runtime.clock import Clock
from callreel.store.calls import calls
from callreel.store.calls.calls import CallRow
from callreel.store.db.database import Database

log = logging.getLogger(__name__)

LOOK_EVERY_S = 30.0
SILENT_S = 300.0
"""Longer than a token lives, than a cut stream is waited for, and than the carrier tries to deliver a callback."""
LONGEST_CALL = timedelta(hours=24)
"""The carrier ends a call after four hours by default and a day at most; without credentials to ask with, this decides."""


class StaleCalls:
    """One task; `sweep` blocks."""

    def __init__(
        self,
        database: Database,
        carrier: CarrierRecordings,
        clock: Clock,
        leg_ended: Callable[[CallId], None],
    ) -> None:
        """`leg_ended` does what the carrier's callback would have done."""
        self._database = database
        self._carrier = carrier
        self._clock = clock
        self._leg_ended = leg_ended
        self._pause = CircuitBreaker(clock)
        self._ask_next: dict[CallId, datetime] = {}

    async def run(self, ours: Callable[[], bool]) -> None:
        """Until cancelled. `ours`: whether this process does such things now."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                if ours():
                    await asyncio.to_thread(self.sweep)
            except Exception:
                log.exception("looking for calls without an end failed; trying again")

    def sweep(self) -> int:
        """Ask for those that are due; answers how many were over. Blocking."""
        now = self._clock.now()
        with self._database.read() as conn:
            silent = calls.without_stream(conn, now - timedelta(seconds=SILENT_S))
        self._ask_next = {call.id: self._ask_next.get(call.id, now) for call in silent}
        over = [call for call in silent if self._ask_next[call.id] <= now and self._is_over(call, now)]
        for call in over:
            log.warning("a call has ended and nobody told of it", extra={"call_id": call.id})
            self._leg_ended(call.id)
        return len(over)

    def _is_over(self, call: CallRow, now: datetime) -> bool:
        if now - call.created_at >= LONGEST_CALL:
            return True
        if not self._carrier.usable or self._pause.holds:
            return False
        try:
            over = self._carrier.is_over(call.leg_sid)
        except CarrierError as error:
            wait_s = self._pause.refused(error)
            log.warning("asking for a call: %s; again in %.0f s", error, wait_s, extra={"call_id": call.id})
            return False
        self._pause.answered()
        # A call without a stream may last for hours: the longer it has, the later it is asked for again.
        self._ask_next[call.id] = now + max(timedelta(seconds=SILENT_S), (now - call.created_at) / 2)
        return over
