"""An installation as commands use it that need no server: its rows and files, and nothing that runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from callreel.app.carrier import carrier_access
from callreel.app.ground import blob_store
from callreel.services.announce import Announcer
from callreel.services.bus import EventBus
from callreel.services.clock import Clock
from callreel.services.cloud import CarrierRecordings
from callreel.settings import Settings
from callreel.store.blobs import BlobStore
from callreel.store.database import Database


@dataclass(frozen=True, slots=True)
class AtRest:
    """Rows, files and the carrier for a command beside the server, which takes no calls and runs no stages."""

    database: Database
    blobs: BlobStore
    announcer: Announcer
    carrier: CarrierRecordings
    clock: Clock


@contextmanager
def at_rest(settings: Settings) -> Iterator[AtRest]:
    """Open what a command needs. Raises StoreError."""
    database, clock = Database.open(settings.app_database_url), Clock()
    carrier = CarrierRecordings(carrier_access(settings))
    try:
        database.migrate()
        announcer = Announcer(database, EventBus(), clock)
        yield AtRest(database, blob_store(settings), announcer, carrier, clock)
    finally:
        carrier.close()
        database.close()
