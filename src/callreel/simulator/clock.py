"""Call time: milliseconds since a call began, running `speed` times as fast as the wall clock.

Waiting is on an absolute schedule, so that what is late once is not late for ever: frames of 20 ms stay 20 ms apart on
average however busy the machine is, and a backlog goes out at once.
"""

import asyncio
import math
from datetime import UTC, datetime, timedelta


class CallClock:
    """Begins when it is made, inside a running event loop."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self.began_at = datetime.now(UTC)

    def now_ms(self) -> float:
        return (self._loop.time() - self._began) * 1000 * self._speed

    def next_ms(self, step_ms: int = 20) -> int:
        """The next position on the grid of whole frames."""
        return math.ceil(self.now_ms() / step_ms) * step_ms

    def moment(self, position_ms: float) -> datetime:
        """The date and time that people on the call would read, as if it ran at speed 1."""
        return self.began_at + timedelta(milliseconds=position_ms)

    async def reach(self, position_ms: float) -> None:
        """Return at `position_ms`; at once, but letting others run, when that is over."""
        await asyncio.sleep(max(0.0, self.seconds_until(position_ms)))

    def seconds_until(self, position_ms: float) -> float:
        """Wall-clock seconds, negative when it is over."""
        return self._began + position_ms / 1000 / self._speed - self._loop.time()
