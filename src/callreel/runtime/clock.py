"""The system clock. Lower packages take time as an argument; tests use a clock that jumps."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Clock:
    """Wall time for rows, monotonic time for waiting and measuring."""

    def now(self) -> datetime:
        """UTC, aware."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()
