"""Maintenance jobs of an installation: reconciling with the carrier's list of recordings, deletion at the carrier, and
ordering lost work again."""

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
    """The methods block; `jobs` gives the loops that call them."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        listing: CarrierList,
        deletion: Deletion,
        *,
        days: int,
        usable: bool,
    ) -> None:
        """`days` is how far back the carrier's list is read. `usable` says whether there are credentials for the carrier."""
        self._dispatcher = dispatcher
        self._listing = listing
        self._deletion = deletion
        self._days = days
        self._usable = usable

    def jobs(self, leads: Callable[[], bool]) -> tuple[PeriodicJob, PeriodicJob]:
        """To be run by every server; only the one for which `leads` is true does the work."""
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
        """Reconcile with the carrier's list of recordings and delete what is due there, once."""
        if not self._usable:
            return
        try:
            self._listing.review(self._days)
        except CarrierError as error:
            log.warning("listing recordings failed: %s", error)
            return
        self._deletion.sweep()
