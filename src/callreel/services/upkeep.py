"""What is looked after on a schedule besides single calls: the carrier's whole list, deletion there, parked recordings.

Parked ones are begun anew by themselves, at doubling distances from a quarter of an hour on: a carrier that was down, a
quota, credentials that were put right, a database that was away while a stage ran. After `MOST_RETRIES` only a person begins one again.
"""

import asyncio
import logging
import random
from datetime import datetime, timedelta

from callreel.domain.errors import CarrierError
from callreel.services.carrier_list import CarrierList
from callreel.services.clock import Clock
from callreel.services.deletion import Deletion
from callreel.store import recordings
from callreel.store.database import Database
from callreel.store.recordings import RecordingRow

log = logging.getLogger(__name__)

EVERY_S = 900.0
FIRST_RETRY = timedelta(minutes=15)
LONGEST_RETRY = timedelta(days=1)
MOST_RETRIES = 12
"""The last one about five days after the first failure."""


class Upkeep:
    """One task; `sweep` blocks."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        listing: CarrierList,
        deletion: Deletion,
        *,
        days: int,
        usable: bool,
    ) -> None:
        """`usable`: whether there are credentials to ask the carrier with."""
        self._database = database
        self._clock = clock
        self._listing = listing
        self._deletion = deletion
        self._days = days
        self._usable = usable

    async def run(self) -> None:
        """Until cancelled. With jitter, so that many servers do not ask at once."""
        while True:
            await asyncio.sleep(EVERY_S * random.uniform(0.8, 1.2))
            try:
                await asyncio.to_thread(self.sweep)
            except Exception:
                log.exception("upkeep failed; trying again")

    def sweep(self) -> None:
        """All of it once."""
        self.retry_parked()
        if not self._usable:
            return
        try:
            self._listing.review(self._days)
        except CarrierError as error:
            log.warning("the carrier's list cannot be had: %s", error)
            return
        self._deletion.sweep()

    def retry_parked(self) -> int:
        """Begin anew what was parked long enough; answers how many."""
        now = self._clock.now()
        with self._database.read() as conn:
            due = [row for row in recordings.stuck(conn) if due_again(row, now)]
        for row in due:
            with self._database.write() as conn:
                recordings.retry(conn, row.sid, now)
            log.info("a parked recording is begun anew", extra={"call_id": row.call_id})
        return len(due)


def due_again(row: RecordingRow, now: datetime) -> bool:
    """Whether a stuck recording is to be tried again: one that could not be fetched, or a stage of which failed."""
    if row.retries >= MOST_RETRIES:
        return False
    wait = min(LONGEST_RETRY, FIRST_RETRY * (1 << row.retries))
    return now - row.updated_at >= wait
