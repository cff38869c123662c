"""Live calls in the rows that have no stream and got no callback of their end.

The carrier says whether their leg is over; then they end as if the callback had come. Not for calls whose process died,
which `ingest/recovery` ends, nor for recordings without a callback, which `postcall/reconciliation` finds after the end.
"""

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
from callreel.twilio.webhooks import TERMINAL

log = logging.getLogger(__name__)

CHECK_EVERY_S = 30.0
STALE_AFTER_S = 300.0
"""Longer than a token is valid, than a call waits for a new stream, and than the carrier retries a callback."""
MAX_CALL = timedelta(hours=24)
"""The carrier ends a call after four hours by default and a day at most; without credentials this decides."""


class StaleCalls:
    """Blocking."""

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
        self._breaker = CircuitBreaker(clock)
        self._next_check: dict[CallId, datetime] = {}

    def sweep(self) -> int:
        """Check the calls that are due with the carrier. Returns how many were over."""
        now = self._clock.now()
        with self._database.read() as conn:
            stale = calls.without_stream(conn, now - timedelta(seconds=STALE_AFTER_S))
        self._next_check = {call.id: self._next_check.get(call.id, now) for call in stale}
        over = [call for call in stale if self._next_check[call.id] <= now and self._is_over(call, now)]
        for call in over:
            log.warning("call ended without a callback", extra={"call_id": call.id})
            self._leg_ended(call.id)
        return len(over)

    def _is_over(self, call: CallRow, now: datetime) -> bool:
        if now - call.created_at >= MAX_CALL:
            return True
        if not self._carrier.usable or self._breaker.is_open:
            return False
        try:
            leg = self._carrier.leg(call.leg_sid)
            over = leg is None or leg.status in TERMINAL
        except CarrierError as error:
            wait_s = self._breaker.failed(error)
            log.warning(
                "call status request failed: %s; retrying in %.0f s", error, wait_s,
                extra={"call_id": call.id},
            )  # fmt: skip
            return False
        self._breaker.succeeded()
        # A call without a stream may last for hours: the longer it has, the later the next check.
        self._next_check[call.id] = now + max(timedelta(seconds=STALE_AFTER_S), (now - call.created_at) / 2)
        return over
