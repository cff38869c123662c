"""Leader election: which of several servers runs what must run once, such as scheduled jobs and recovery.

On PostgreSQL the holder of a lock in the database leads; when it dies another acquires it within seconds. On SQLite the
one server leads. After an outage two may believe for an instant that they lead, so the work is harmless when done twice.
"""

import logging

from callreel.domain.errors import StoreError
from callreel.store.db.database import Database
from callreel.store.db.processes import LeaderLock

log = logging.getLogger(__name__)

ELECT_EVERY_S = 3.0


class LeaderElection:
    """One per server. `leads` may be read from any thread."""

    def __init__(self, database: Database) -> None:
        self._lock = LeaderLock(database) if database.dialect == "postgresql" else None
        self.leads = self._lock is None

    def elect(self) -> None:
        """Acquire or keep the leadership, if it is free. Blocking."""
        if self._lock is None:
            return
        led = self.leads
        try:
            self.leads = self._lock.acquire()
        except StoreError:
            self.leads = False
        if self.leads != led:
            log.info("leadership acquired" if self.leads else "leadership lost")

    def resign(self) -> None:
        """Release the leadership, so that another server has it at once."""
        if self._lock is not None:
            self.leads = False
            self._lock.release()
