"""Call time: milliseconds since a call began, `speed` times as fast as the wall clock.

Waits follow an absolute schedule, so that delays do not accumulate: frames of 20 ms stay 20 ms apart on average however
busy the machine is, and a backlog is sent at once.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

_RESOLUTION_S = 0.001


class CallClock:
    """Starts when created, inside a running event loop."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._waiting = 0
        self._stands_since = 0.0
        self.began_at = datetime.now(UTC)

    @contextmanager
    def at_normal_speed(self) -> Iterator[None]:
        """Around a wait for the application. Time that is sped up stands still meanwhile.

        Otherwise a moment of a busy machine would be seconds of the call, and look like a fault of the application.
        """
        if self._speed <= 1:
            yield
            return
        if not self._waiting:
            self._stands_since = self._loop.time()
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._began += self._loop.time() - self._stands_since

    def _now_s(self) -> float:
        return self._stands_since if self._waiting else self._loop.time()

    def now_ms(self) -> float:
        return (self._now_s() - self._began) * 1000 * self._speed

    def next_ms(self, step_ms: int = 20) -> int:
        """The next position on the grid of whole frames."""
        return math.ceil(self.now_ms() / step_ms) * step_ms

    def moment(self, position_ms: float) -> datetime:
        """The date and time of that position, as if the call ran at speed 1."""
        return self.began_at + timedelta(milliseconds=position_ms)

    async def reach(self, position_ms: float) -> None:
        """Wait for `position_ms`; if it has passed, only yield to other tasks."""
        await asyncio.sleep(max(0.0, self.seconds_until(position_ms)))
        while (left_s := self.seconds_until(position_ms)) > _RESOLUTION_S:  # noqa: ASYNC110  # time stood still
            await asyncio.sleep(left_s)

    async def is_reached_before(self, position_ms: float, happens: Callable[[], Awaitable[object]]) -> bool:
        """Wait for `position_ms`, or until `happens()` returns; False if that comes first."""
        while True:
            try:
                async with asyncio.timeout(max(0.0, self.seconds_until(position_ms))):
                    await happens()
                return False
            except TimeoutError:
                if self.seconds_until(position_ms) <= _RESOLUTION_S:
                    return True  # otherwise time stood still

    def seconds_until(self, position_ms: float) -> float:
        """Wall-clock seconds until then, negative once it has passed."""
        return self._began + position_ms / 1000 / self._speed - self._now_s()
