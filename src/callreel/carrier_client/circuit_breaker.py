"""How long the carrier is left alone after it could not be asked: the longer, the more often that was so in a row.

One for whoever asks again and again by itself, so that an outage or a quota of an hour costs some dozen requests, however
many calls wait for an answer. Fetching a recording has its own decisions (`retry`).
"""

import random

from callreel.domain.errors import CarrierError
from callreel.runtime.clock import Clock

FIRST_S = 5.0
LONGEST_S = 300.0


class CircuitBreaker:
    """One thread at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._in_vain = 0
        self._until_s = 0.0
        self.why = ""
        """What was answered last, while `holds`."""

    @property
    def holds(self) -> bool:
        """Whether the carrier is not to be asked now."""
        return self._clock.monotonic_s() < self._until_s

    def refused(self, error: CarrierError) -> float:
        """It could not be asked; for how many seconds it is left alone: doubling, half of it at random, or as it says."""
        wait_s = min(LONGEST_S, FIRST_S * 2.0 ** min(self._in_vain, 10)) * random.uniform(0.5, 1.0)
        wait_s = max(wait_s, error.retry_after_s or 0.0)
        self._in_vain += 1
        self._until_s = self._clock.monotonic_s() + wait_s
        self.why = str(error)
        return wait_s

    def answered(self) -> None:
        """It answers."""
        self._in_vain, self.why = 0, ""
