"""Run a job periodically: the loop behind every background job, with its errors logged once and counted.

The owner runs `run` as a task and ends it by cancelling that task, or by `stop`, which lets a running job finish. A job that raises is run again at the next interval.
"""

import asyncio
import inspect
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from callreel.domain.errors import CallreelError

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class PeriodicJob:
    """`job` is blocking and runs in a thread, or it is a coroutine function and runs in the loop.

    `interval_s` counts from the end of one run to the start of the next; a callable is evaluated after each run, for jobs
    that back off. `jitter` of 0.2 spreads each interval by up to 20 % either way, so that servers that restarted together
    do not stay in step. `enabled` is evaluated before each run: of many servers, the leader alone runs most jobs.
    """

    name: str
    job: Callable[[], object]
    interval_s: float | Callable[[], float]
    jitter: float = 0.0
    immediately: bool = False
    """Whether the first run starts at once instead of after an interval."""
    enabled: Callable[[], bool] = lambda: True
    failures: int = 0
    """Runs that raised, since the start."""
    _last_error: str | None = field(default=None, init=False)
    _stopping: bool = field(default=False, init=False)
    _woken: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, init=False)

    async def run(self) -> None:
        """Run the job at each interval until `stop` or cancellation."""
        self._loop = asyncio.get_running_loop()
        if not self.immediately:
            await self._wait()
        while not self._stopping:
            # Cleared before the run: a wake-up during it starts another one.
            self._woken.clear()
            await self._run_once()
            await self._wait()

    def wake(self) -> None:
        """Run the job now instead of at the end of the interval. Safe from any thread; before `run` it does nothing."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._woken.set)

    def stop(self) -> None:
        """Make `run` return once the current job has finished. Safe from any thread."""
        self._stopping = True
        self.wake()

    async def _run_once(self) -> None:
        try:
            if not self.enabled():
                return
            if inspect.iscoroutinefunction(self.job):
                await self.job()
            else:
                await asyncio.to_thread(self.job)
        except Exception as error:
            self._failed(error)
            return
        if self._last_error is not None:
            self._last_error = None
            log.info("periodic job recovered", extra={"job": self.name})

    def _failed(self, error: Exception) -> None:
        """Count every failure; log a repeated one only once."""
        self.failures += 1
        shown = f"{type(error).__name__}: {error}"
        if shown == self._last_error:
            return
        self._last_error = shown
        if isinstance(error, CallreelError):
            log.warning("periodic job failed: %s", error, extra={"job": self.name})
        else:
            log.error("periodic job failed", exc_info=error, extra={"job": self.name})

    async def _wait(self) -> None:
        interval_s = self.interval_s() if callable(self.interval_s) else self.interval_s
        interval_s *= random.uniform(1 - self.jitter, 1 + self.jitter)
        if self._stopping:
            return
        try:
            async with asyncio.timeout(interval_s):
                await self._woken.wait()
        except TimeoutError:
            pass
