"""Builds the scheduled jobs that the leading server of an installation runs: reconciliation, archive, erasure, deletion."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from callreel.app.maintenance import MaintenanceJobs
from callreel.app.offline import OfflineInstallation
from callreel.app.runtime import Runtime
from callreel.domain.pause import ANY, UNCONFIRMED, CarrierPause
from callreel.domain.work import WorkItem
from callreel.postcall.carrier_inventory import CarrierList
from callreel.postcall.dispatcher import Dispatcher
from callreel.postcall.reconciliation import LookupSchedule, Reconciler
from callreel.retention.archive import QUIET, Archiver
from callreel.retention.carrier_deletion import Deletion
from callreel.retention.erasure import Erasing
from callreel.runtime.clock import Clock
from callreel.settings import Settings
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore


def reconciler_of(runtime: Runtime) -> Reconciler:
    settings = runtime.settings
    when = LookupSchedule(settings.recording_grace_s, settings.recording_deadline_s)
    return Reconciler(
        runtime.database, runtime.publisher, runtime.carrier, runtime.clock, when, record=settings.record
    )


def maintenance_of(runtime: Runtime, dispatcher: Dispatcher) -> MaintenanceJobs:
    listing = CarrierList(runtime.database, runtime.publisher, runtime.carrier, runtime.clock)
    return MaintenanceJobs(
        dispatcher, listing, deletion_of(runtime.settings, runtime), days=runtime.settings.reconcile_days, usable=runtime.carrier.usable,
    )  # fmt: skip


def archiving(settings: Settings, database: Database, blobs: BlobStore, clock: Clock) -> Archiver:
    """The archiver with the policy of the settings."""
    after = {
        "never": None,
        "after_verified": QUIET,
        "after_days": timedelta(days=settings.archive_after_days),
    }
    return Archiver(
        database,
        blobs,
        clock,
        after=after[settings.archive],
        only_trusted=settings.archive == "after_verified",
    )


def erasing(
    settings: Settings, runtime: Runtime | OfflineInstallation, unfinished: Callable[..., Sequence[WorkItem]]
) -> Erasing:
    """Carries out erasures, with the policy of the settings. `unfinished` is that of the durable engine."""
    days = settings.erase_after_days
    after = None if days is None else timedelta(days=days)
    return Erasing(
        runtime.database, runtime.blobs, runtime.carrier, runtime.publisher, runtime.clock, after=after,
        unfinished=unfinished,
    )  # fmt: skip


def deletion_of(settings: Settings, runtime: Runtime | OfflineInstallation) -> Deletion:
    """Deletes recordings at the carrier, with the policy of the settings."""
    days = settings.delete_after_days if settings.delete_at_carrier == "after_days" else None
    paused = {"never": frozenset[CarrierPause](), "unconfirmed": UNCONFIRMED, "always": ANY}
    return Deletion(
        runtime.database, runtime.blobs, runtime.carrier, runtime.clock, after_days=days,
        paused=paused[settings.pause_delete_at_carrier],
    )  # fmt: skip
