"""Which of several servers does what is to be done once: schedules, and closing what dead processes left.

On PostgreSQL the one that holds a lock in the database; when it dies another takes it within seconds. On SQLite there is
one server. Two may believe it for an instant, after an outage; so what they do is harmless when done twice.
"""

import asyncio
import logging

from callreel.domain.errors import StoreError
from callreel.store.db.database import Database
from callreel.store.db.processes import LeaderLock

log = logging.getLogger(__name__)

ASK_EVERY_S = 3.0


class LeaderElection:
    """One a server. `ours` may be read from any thread."""

    def __init__(self, database: Database) -> None:
        self._lock = LeaderLock(database) if database.dialect == "postgresql" else None
        self.ours = self._lock is None

    async def run(self) -> None:
        """Hold the lead or wait for it, until cancelled; then let go."""
        if self._lock is None:
            return
        try:
            while True:
                await asyncio.to_thread(self._ask, self._lock)
                await asyncio.sleep(ASK_EVERY_S)
        finally:
            self.ours = False
            self._lock.release()

    def _ask(self, lock: LeaderLock) -> None:
        had = self.ours
        try:
            self.ours = lock.acquire()
        except StoreError:
            self.ours = False
        if self.ours != had:
            log.info("this server %s after the schedules", "looks" if self.ours else "no longer looks")
