"""Maintenance jobs of an installation: reconciling with the carrier's list of recordings, deletion at the carrier, and
orders for lost work."""

import logging
from collections.abc import Callable

from callreel.domain.errors import CarrierError
from callreel.postcall.carrier_inventory import CarrierList
from callreel.postcall.dispatcher import Dispatcher
from callreel.retention.carrier_deletion import Deletion
from callreel.runtime.periodic import PeriodicJob

log = logging.getLogger(__name__)

CARRIER_EVERY_S = 900.0
ROWS_EVERY_S = 60.0


class MaintenanceJobs:
    """The methods block; `jobs` returns the periodic jobs that call them."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        listing: CarrierList,
        deletion: Deletion,
        *,
        days: int,
        usable: bool,
    ) -> None:
        """`days` limits the age of the listed recordings. `usable`: whether credentials for the carrier are set."""
        self._dispatcher = dispatcher
        self._listing = listing
        self._deletion = deletion
        self._days = days
        self._usable = usable

    def jobs(self, leads: Callable[[], bool]) -> tuple[PeriodicJob, PeriodicJob]:
        """For every server; the jobs run only on the one for which `leads` is true."""
        return (
            PeriodicJob(
                name="lost-work", job=self._dispatcher.reorder_lost, interval_s=ROWS_EVERY_S, enabled=leads
            ),
            PeriodicJob(
                name="carrier-list",
                job=self.review_carrier,
                interval_s=CARRIER_EVERY_S,
                jitter=0.2,
                enabled=leads,
            ),
        )

    def review_carrier(self) -> None:
        """Reconcile once with the carrier's list of recordings, and delete the recordings there that are due."""
        if not self._usable:
            return
        try:
            self._listing.review(self._days)
        except CarrierError as error:
            log.warning("listing recordings failed: %s", error)
            return
        self._deletion.sweep()
