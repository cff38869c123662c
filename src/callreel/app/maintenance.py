"""Maintenance jobs of an installation: reconciling with the carrier's list of recordings, deletion at the carrier, and
retrying parked recordings.

A parked recording is retried with exponential backoff from one minute on (`retry.parked_s`), since its cause may pass:
a carrier outage, a quota, wrong credentials, a database that was unavailable during a stage.
"""

import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta

from callreel.domain.errors import CarrierError
from callreel.postcall.carrier_inventory import CarrierList
from callreel.postcall.dispatcher import workflow_ids
from callreel.retention.carrier_deletion import Deletion
from callreel.runtime.clock import Clock
from callreel.runtime.periodic import PeriodicJob
from callreel.runtime.retry import parked_s
from callreel.store.calls import recordings
from callreel.store.calls.recordings import RecordingRow
from callreel.store.db.database import Database

log = logging.getLogger(__name__)

CARRIER_EVERY_S = 900.0
ROWS_EVERY_S = 15.0
NO_VERDICT = "the work on it ended without a verdict"


class MaintenanceJobs:
    """The methods block; `jobs` gives the loops that call them."""

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
        """`unfinished` gives the ids of the durable workflows that wait or run. `days` is how far back the carrier's list is
        read. `usable` says whether there are credentials for the carrier."""
        self._database = database
        self._clock = clock
        self._listing = listing
        self._deletion = deletion
        self._unfinished = unfinished
        self._days = days
        self._usable = usable

    def jobs(self, leads: Callable[[], bool]) -> tuple[PeriodicJob, PeriodicJob]:
        """To be run by every server; only the one for which `leads` is true does the work."""
        return (
            PeriodicJob(name="retry-parked", job=self.review_rows, interval_s=ROWS_EVERY_S, enabled=leads),
            PeriodicJob(
                name="carrier-list",
                job=self.review_carrier,
                interval_s=CARRIER_EVERY_S,
                jitter=0.2,
                enabled=leads,
            ),
        )

    def review_rows(self) -> None:
        """Park what lost its workflow, and retry what is parked, once."""
        self.park_unjudged()
        self.retry_parked()

    def review_carrier(self) -> None:
        """Reconcile with the carrier's list of recordings and delete what is due there, once."""
        if not self._usable:
            return
        try:
            self._listing.review(self._days)
        except CarrierError as error:
            log.warning("listing recordings failed: %s", error)
            return
        self._deletion.sweep()

    def park_unjudged(self) -> int:
        """Park recordings that were begun, have no verdict, and that no workflow works on; returns how many.

        This happens only when the durable engine gave a workflow up. Parked, it is retried and shown on the operations page.
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
                return False  # judged, parked or retried since the read above
            recordings.set_stage(conn, row.sid, row.stage or "fetch", NO_VERDICT)
        log.error("stages parked: %s", NO_VERDICT, extra={"call_id": row.call_id})
        return True

    def retry_parked(self) -> int:
        """Schedule the next retry of each parked recording and start those that are due; returns how many started."""
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
        log.info("parked recording retried", extra={"call_id": row.call_id})
        return again
