"""A circuit breaker around the carrier's REST API, for jobs that poll it.

An outage or a quota of an hour then costs some dozen requests, however many calls wait for a response. Downloads do not use
it: they are workflows with the retry policy of `runtime/retry`.
"""

from callreel.domain.errors import CarrierError
from callreel.runtime.clock import Clock
from callreel.runtime.retry import Backoff

BACKOFF = Backoff(first_s=2.0, longest_s=300.0)


class CircuitBreaker:
    """Open after a failed request, for longer with each consecutive failure. For one thread at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._open_until_s = 0.0
        self.reason = ""
        """The last failure, until a request succeeds."""

    @property
    def is_open(self) -> bool:
        """Whether requests are blocked now."""
        return self._clock.monotonic_s() < self._open_until_s

    def failed(self, error: CarrierError) -> float:
        """Record a failed request; returns the seconds until the next one may be made, by backoff or as the carrier requests."""
        self._failures += 1
        wait_s = max(BACKOFF.after_s(self._failures), error.retry_after_s or 0.0)
        self._open_until_s = self._clock.monotonic_s() + wait_s
        self.reason = str(error)
        return wait_s

    def succeeded(self) -> None:
        self._failures, self.reason = 0, ""
