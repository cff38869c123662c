"""Reading many sockets in turn, each once a period, instead of each whenever something has come.

A media stream sends 100 small messages a second. To wake up for each costs more than to read it; what came within 160 ms
is read at once here, for the price of one. The kernel keeps it meanwhile, so a period is what a killed process loses.
For sockets that nobody waits for; it knows neither WebSockets nor calls.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

STEP_S: Final = 0.01
"""A period is cut into steps of this: all sockets of one are read together, and the event loop is free in between."""

Read = Callable[[], None]


class Turn:
    """One socket's place in the round."""

    __slots__ = ("read", "_step")

    def __init__(self, read: Read, step: "dict[Turn, None]") -> None:
        self.read = read
        self._step = step
        step[self] = None

    @property
    def is_over(self) -> bool:
        return self not in self._step

    def end(self) -> None:
        """Call `read` no more; nothing if that was so before."""
        self._step.pop(self, None)


class BatchedReader:
    """Calls each `read` once a period, the calls spread evenly over it. One that raises is not called again.

    Lives in one event loop.
    """

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s
        self._steps: list[dict[Turn, None]] = [{} for _ in range(max(1, round(period_s / STEP_S)))]
        self._at = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0

    def __len__(self) -> int:
        return sum(map(len, self._steps))

    def add(self, read: Read) -> Turn:
        """Call `read` from now on, the first time within a period, until its turn ends."""
        turn = Turn(read, min(self._steps, key=len))
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._due_s = loop.time()
            self._plan(loop)
        return turn

    def _plan(self, loop: asyncio.AbstractEventLoop) -> None:
        # A round that is late goes on at once, but never twice without letting others have their turn.
        self._due_s = max(self._due_s + self.period_s / len(self._steps), loop.time())
        self._timer = loop.call_at(self._due_s, self._step, loop)

    def _step(self, loop: asyncio.AbstractEventLoop) -> None:
        self._at = (self._at + 1) % len(self._steps)
        step = self._steps[self._at]
        for turn in list(step):
            if turn in step:
                try:
                    turn.read()
                except Exception:
                    log.exception("a socket could not be read")
                    turn.end()
        self._timer = None
        if any(self._steps):
            self._plan(loop)
