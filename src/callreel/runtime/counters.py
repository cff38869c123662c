"""Counts of what happened since this process started, for /health, the metrics and the tests."""

import threading
from collections import Counter
from typing import Final

GAP_MS: Final = "gap_ms"
"""Silence put where no frame came, in streams that have ended. Frames of ended streams count as `frames_…`."""


class Counters:
    """Named counts; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, name: str, n: int = 1) -> None:
        with self._lock:
            self._counts[name] += n

    def snapshot(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counts)
