"""What is looked after beside calls, by one server of an installation: the carrier's list, archive, erasing, deletion."""

from datetime import timedelta

from callreel.app.ground import Ground
from callreel.app.offline import AtRest
from callreel.services.archiving import QUIET, Archiving
from callreel.services.carrier_list import CarrierList
from callreel.services.clock import Clock
from callreel.services.deletion import Deletion
from callreel.services.erasing import Erasing
from callreel.services.reconcile import LookAgain, Reconciler
from callreel.services.upkeep import Upkeep
from callreel.settings import Settings
from callreel.store.blobs import BlobStore
from callreel.store.database import Database


def reconciler_of(ground: Ground) -> Reconciler:
    settings = ground.settings
    when = LookAgain(settings.recording_grace_s, settings.recording_deadline_s)
    return Reconciler(
        ground.database, ground.announcer, ground.carrier, ground.clock, when, record=settings.record
    )


def upkeep_of(ground: Ground) -> Upkeep:
    listing = CarrierList(ground.database, ground.announcer, ground.carrier, ground.clock)
    days = delete_after_days(ground.settings)
    deletion = Deletion(ground.database, ground.blobs, ground.carrier, ground.clock, after_days=days)
    return Upkeep(
        ground.database, ground.clock, listing, deletion,
        unfinished=lambda: {found.workflow_id for found in ground.durable.unfinished()},
        days=ground.settings.reconcile_days, usable=ground.carrier.usable,
    )  # fmt: skip


def archiving(settings: Settings, database: Database, blobs: BlobStore, clock: Clock) -> Archiving:
    """The policy of the settings."""
    after = {
        "never": None,
        "after_verified": QUIET,
        "after_days": timedelta(days=settings.archive_after_days),
    }
    return Archiving(
        database,
        blobs,
        clock,
        after=after[settings.archive],
        only_trusted=settings.archive == "after_verified",
    )


def erasing(settings: Settings, ground: Ground | AtRest) -> Erasing:
    """What carries out erasures, and the policy of the settings."""
    days = settings.erase_after_days
    after = None if days is None else timedelta(days=days)
    return Erasing(ground.database, ground.blobs, ground.carrier, ground.announcer, ground.clock, after=after)


def delete_after_days(settings: Settings) -> int | None:
    """How many days after its verdict a recording is deleted at the carrier; None is never."""
    return settings.delete_after_days if settings.delete_at_carrier == "after_days" else None
