"""When an open segment is worth decoding again.

It is neither a timer nor the queue: it decides for one (call, role) from times that it is given. The slower an answer comes,
the rarer the next request, so partials thin out under load before the queue sheds any.
"""

from callreel.asr.engine import Capabilities

FIRST_MS = 1000
"""A shorter open segment is not decoded: its text would be a guess."""

GAP_MS = 700
ANSWERS_A_GAP = 1.5
"""A segment waits for an answer at most two thirds of the time, however slow the engine."""


class PartialCadence:
    """One for each (call, role); an engine that gives no partials has none (`for_engine`)."""

    def __init__(self, *, first_ms: int = FIRST_MS, gap_ms: int = GAP_MS) -> None:
        self._first_ms = first_ms
        self._gap_ms = gap_ms
        self._number: int | None = None
        self._next_ms = first_ms
        self._answer_ms = 0.0

    @classmethod
    def for_engine(cls, capabilities: Capabilities) -> "PartialCadence | None":
        return cls() if capabilities.partials else None

    def due(self, number: int, length_ms: int) -> bool:
        """Whether to decode open segment `number` now, of which `length_ms` are there.

        True counts as a request. A new number resets the cadence.
        """
        if number != self._number:
            self._number = number
            self._next_ms = self._first_ms
        if length_ms < self._next_ms:
            return False
        self._next_ms = length_ms + max(self._gap_ms, round(ANSWERS_A_GAP * self._answer_ms))
        return True

    def answered(self, took_ms: float) -> None:
        """The last partial took `took_ms` from request to result, waiting for a worker included."""
        self._answer_ms = took_ms
