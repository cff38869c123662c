"""Starts the workflows that the outbox orders: at once when woken, and in any case every few seconds."""

import asyncio
import logging
from datetime import timedelta

from callreel.domain.work import WorkQueue
from callreel.runtime.clock import Clock
from callreel.store.calls import outbox, recordings
from callreel.store.db.database import Database

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 2.0
LIVE_WAIT = timedelta(minutes=15)
"""How long after its end a call's live transcript is waited for; then the work begins with what there is."""
LOST_AFTER = timedelta(minutes=30)


class Dispatcher:
    """One task; `wake` from any thread."""

    def __init__(self, database: Database, engine: WorkQueue, clock: Clock) -> None:
        self._database = database
        self._engine = engine
        self._clock = clock
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def wake(self) -> None:
        """Sweep now. Safe from any thread; before `run` it does nothing, since `run` begins with a sweep."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._woken.set)

    async def run(self) -> None:
        """Until cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._woken.clear()
            try:
                await asyncio.to_thread(self.sweep)
            except Exception:
                log.exception("starting workflows failed; trying again")
            try:
                async with asyncio.timeout(SWEEP_EVERY_S):
                    await self._woken.wait()
            except TimeoutError:
                pass

    def sweep(self) -> int:
        """Start what is ordered and can start; answers how many workflows. Blocking."""
        with self._database.read() as conn:
            due = outbox.due(conn, self._clock.now() - LIVE_WAIT)
        for order in due:
            self._engine.start(order.workflow, order.key)
            with self._database.write() as conn:
                outbox.remove(conn, order)
        return len(due)

    def reorder_lost(self) -> int:
        """Order again the work on calls that neither have a verdict nor are worked on; answers how many. Blocking.

        Nothing should come to that but an engine's database that was restored from an older copy than ours, or lost.
        """
        now = self._clock.now()
        with self._database.read() as conn:
            unjudged = recordings.unjudged(conn, now - LOST_AFTER)
        lost = [row for row in unjudged if not self._engine.unfinished(row.sid)]
        for row in lost:
            log.error("work on a recording was lost and is ordered again", extra={"call_id": row.call_id})
            with self._database.write() as conn:
                recordings.order_work(conn, row)
        return len(lost)
