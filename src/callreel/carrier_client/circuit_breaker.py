"""A circuit breaker around the carrier's REST API, for jobs that poll it.

An outage or a quota of an hour then costs some dozen requests, however many calls wait for an answer. Downloads are
workflows with a retry policy of their own (`runtime/retry`).
"""

from callreel.domain.errors import CarrierError
from callreel.runtime.clock import Clock
from callreel.runtime.retry import Backoff

BACKOFF = Backoff(first_s=2.0, longest_s=300.0)


class CircuitBreaker:
    """Open after a failed request, for longer the more failed in a row. One thread at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._open_until_s = 0.0
        self.reason = ""
        """The last failure, until a request succeeds."""

    @property
    def is_open(self) -> bool:
        """Whether no request may be made now."""
        return self._clock.monotonic_s() < self._open_until_s

    def failed(self, error: CarrierError) -> float:
        """A request failed. Returns for how many seconds none may be made: by backoff, or as long as the carrier demands."""
        self._failures += 1
        wait_s = max(BACKOFF.after_s(self._failures), error.retry_after_s or 0.0)
        self._open_until_s = self._clock.monotonic_s() + wait_s
        self.reason = str(error)
        return wait_s

    def succeeded(self) -> None:
        self._failures, self.reason = 0, ""
