"""An installation for commands that need no server: rows, files and carrier access, without background tasks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from callreel.app.carrier import carrier_access
from callreel.app.encryption import keyring_of
from callreel.app.runtime import blob_store
from callreel.carrier_client.client import CarrierRecordings
from callreel.cluster.event_bus import EventBus
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.errors import StoreError
from callreel.domain.ids import CallId
from callreel.runtime.clock import Clock
from callreel.settings import Settings
from callreel.store.calls import calls
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore

NO_CREDENTIALS = "the carrier's credentials are not set; set TWILIO_ACCOUNT_SID, TWILIO_API_KEY_SID and TWILIO_API_KEY_SECRET"


@dataclass(frozen=True, slots=True)
class OfflineInstallation:
    """Rows, files and carrier access. It accepts no calls and runs no stages, so a server may run meanwhile."""

    database: Database
    blobs: BlobStore
    publisher: EventPublisher
    carrier: CarrierRecordings
    clock: Clock

    def existing_call(self, call: str) -> CallId:
        """The id of an existing call. Raises StoreError."""
        with self.database.read() as conn:
            row = calls.get(conn, CallId(call))
        if row is None:
            raise StoreError(
                f"there is no call {call} in this database; the list of calls is on the server's first page"
            )
        return row.id


@contextmanager
def open_installation(settings: Settings) -> Iterator[OfflineInstallation]:
    """Open database, files and carrier access. Raises StoreError."""
    database, clock = Database.open(settings.app_database_url), Clock()
    carrier = CarrierRecordings(carrier_access(settings))
    try:
        database.migrate()
        blobs = blob_store(settings)
        blobs.keys = keyring_of(settings, database)
        publisher = EventPublisher(database, EventBus(), clock)
        yield OfflineInstallation(database, blobs, publisher, carrier, clock)
    finally:
        carrier.close()
        database.close()
