"""What is looked after on a schedule besides single calls: the carrier's whole list, deletion there, parked recordings,
and work that ended without a verdict.

Parked ones are begun anew by themselves, at doubling distances from a minute on (`retry.parked_s`): a carrier that was
down, a quota, credentials that were put right, a database that was away while a stage ran.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta

from callreel.domain.errors import CarrierError
from callreel.postcall.carrier_inventory import CarrierList
from callreel.postcall.dispatcher import workflow_ids
from callreel.retention.carrier_deletion import Deletion
from callreel.runtime.clock import Clock
from callreel.runtime.retry import parked_s
from callreel.store.calls import recordings
from callreel.store.calls.recordings import RecordingRow
from callreel.store.db.database import Database

log = logging.getLogger(__name__)

EVERY_S = 900.0
"""How often the carrier is asked."""
LOOK_EVERY_S = 15.0
"""How often our own rows are looked at."""
NO_VERDICT = "the work on it ended without a verdict"


class MaintenanceJobs:
    """One task; the methods block."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        listing: CarrierList,
        deletion: Deletion,
        *,
        unfinished: Callable[[], set[str]],
        days: int,
        usable: bool,
    ) -> None:
        """`unfinished`: ids of the durable workflows that wait or run. `usable`: whether there are credentials to ask
        the carrier with."""
        self._database = database
        self._clock = clock
        self._listing = listing
        self._deletion = deletion
        self._unfinished = unfinished
        self._days = days
        self._usable = usable

    async def run(self, leads: Callable[[], bool]) -> None:
        """Until cancelled, while `leads`: of many servers one. The carrier with jitter, as all look again after an outage."""
        ask_at_s = self._clock.monotonic_s() + EVERY_S * random.uniform(0.8, 1.2)
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if not leads():
                continue
            await self._try("looking after parked recordings", self.look_after_rows)
            if self._clock.monotonic_s() >= ask_at_s:
                await self._try("looking at the carrier's list", self.ask_carrier)
                ask_at_s = self._clock.monotonic_s() + EVERY_S * random.uniform(0.8, 1.2)

    async def _try(self, what: str, work: Callable[[], object]) -> None:
        try:
            await asyncio.to_thread(work)
        except Exception:
            log.exception("%s failed; trying again", what)

    def look_after_rows(self) -> None:
        """Our own rows, once."""
        self.park_unjudged()
        self.retry_parked()

    def ask_carrier(self) -> None:
        """The carrier's list and the deletions there, once. What it refuses waits for the next time."""
        if not self._usable:
            return
        try:
            self._listing.review(self._days)
        except CarrierError as error:
            log.warning("the carrier's list cannot be had: %s", error)
            return
        self._deletion.sweep()

    def park_unjudged(self) -> int:
        """Park what was begun and is neither judged nor worked on; answers how many.

        Nothing should come to that. What does, a workflow that the durable engine gave up, begins again by itself and
        is seen by a person.
        """
        with self._database.read() as conn:
            begun = recordings.begun(conn)
        if not begun:
            return 0
        working = self._unfinished()
        lost = [row for row in begun if not workflow_ids(row) & working]
        return sum(self._park(row) for row in lost)

    def _park(self, row: RecordingRow) -> bool:
        with self._database.write() as conn:
            if row not in recordings.begun(conn):
                return False  # judged, parked or begun anew while we looked
            recordings.set_stage(conn, row.sid, row.stage or "fetch", NO_VERDICT)
        log.error("stages are parked: %s", NO_VERDICT, extra={"call_id": row.call_id})
        return True

    def retry_parked(self) -> int:
        """Plan when what is stuck begins anew, and begin what is due; answers how many began."""
        now = self._clock.now()
        with self._database.read() as conn:
            stuck = recordings.stuck(conn)
        began = 0
        for row in stuck:
            if row.retry_at is None:
                self._plan(row, now)
            elif row.retry_at <= now:
                began += self._retry(row, now)
        return began

    def _plan(self, row: RecordingRow, now: datetime) -> None:
        wait_s = parked_s(row.retries, spread=random.random())
        if wait_s is not None:
            with self._database.write() as conn:
                recordings.plan_retry(conn, row.sid, now + timedelta(seconds=wait_s))

    def _retry(self, row: RecordingRow, now: datetime) -> bool:
        with self._database.write() as conn:
            again = recordings.retry(conn, row.sid, now)
        log.info("a parked recording is begun anew", extra={"call_id": row.call_id})
        return again
