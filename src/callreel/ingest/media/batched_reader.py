"""Calling many sockets' read functions in turn, each once a period.

It knows neither WebSockets nor calls: `ingest/media/frame_source` reads.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, TypeAlias

log = logging.getLogger(__name__)

STEP_S: Final = 0.01
"""A period is divided into steps: the sockets of one step are read together, and the event loop is free in between."""

Read: TypeAlias = Callable[[], None]


class BatchedReader:
    """Calls each `read` once a period, the calls spread evenly over it. One that raises is removed.

    Lives in one event loop; its timer runs only while it has members.
    """

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s
        # Dicts, not lists: members leave while a step runs, and keep their order.
        self._steps: list[dict[Read, None]] = [{} for _ in range(max(1, round(period_s / STEP_S)))]
        self._at = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0

    def __len__(self) -> int:
        return sum(map(len, self._steps))

    def add(self, read: Read) -> None:
        """Call `read` once a period from now on, the first time within a period."""
        min(self._steps, key=len)[read] = None
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._due_s = loop.time()
            self._schedule(loop)

    def remove(self, read: Read) -> None:
        """Call `read` no more; does nothing if it was removed before."""
        for step in self._steps:
            step.pop(read, None)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        # A late step runs at once, but never two without the event loop in between.
        self._due_s = max(self._due_s + self.period_s / len(self._steps), loop.time())
        self._timer = loop.call_at(self._due_s, self._run_step, loop)

    def _run_step(self, loop: asyncio.AbstractEventLoop) -> None:
        self._at = (self._at + 1) % len(self._steps)
        step = self._steps[self._at]
        for read in list(step):
            if read in step:
                try:
                    read()
                except Exception:
                    log.exception("media socket could not be read")
                    self.remove(read)
        self._timer = None
        if any(self._steps):
            self._schedule(loop)
