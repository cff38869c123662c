"""Publishing live events: a lasting event becomes a row in the transaction of the change that it reports, then goes out.

Row first, bus second: a listener that missed the bus finds the row, and none receives what was rolled back. The webhooks that
an event causes are ordered in the same transaction.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from callreel.cluster.event_bus import EventBus
from callreel.domain.events import LiveEvent
from callreel.domain.ids import CallId
from callreel.runtime.clock import Clock
from callreel.store.calls import live_events
from callreel.store.db.database import Database
from callreel.store.webhooks import deliveries


class EventPublisher:
    """Safe from any thread."""

    def __init__(self, database: Database, bus: EventBus, clock: Clock) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock

    def record(self, conn: Connection, event: LiveEvent) -> LiveEvent:
        """Store a lasting event within the caller's transaction. Returns it with its id, for `publish` after the commit."""
        return self.record_all(conn, [event])[0]

    def record_all(self, conn: Connection, events: Sequence[LiveEvent]) -> list[LiveEvent]:
        """The same for several, which together cost little more than one."""
        now = self._clock.now()
        deliveries.announce_events(conn, events, now)
        return live_events.append_all(conn, events, now)

    def has_listeners(self, call_id: CallId) -> bool:
        """Whether a passing event of this call would reach a listener now."""
        return self._bus.has_listeners(call_id)

    def publish(self, *events: LiveEvent) -> None:
        """Send events to the current listeners. Never blocks."""
        for event in events:
            self._bus.publish(event)
