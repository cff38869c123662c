"""Telling listeners what happened: lasting events become rows in the transaction that made them true, then go out.

The order matters: the row first, in the same transaction as the change it tells of, then the live bus. A listener who
missed the bus finds the row; nobody hears of what was rolled back.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from callreel.cluster.event_bus import EventBus
from callreel.domain.events import LiveEvent
from callreel.domain.ids import CallId
from callreel.runtime.clock import Clock
from callreel.store.calls import live_events
from callreel.store.db.database import Database


class EventPublisher:
    """The way out for live events. Safe from any thread."""

    def __init__(self, database: Database, bus: EventBus, clock: Clock) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock

    def record(self, conn: Connection, event: LiveEvent) -> LiveEvent:
        """Store a lasting event within the caller's transaction; answers it with its id, for `tell` afterwards."""
        return live_events.append(conn, event, self._clock.now())

    def record_all(self, conn: Connection, events: Sequence[LiveEvent]) -> list[LiveEvent]:
        """The same for several, which together cost little more than one."""
        return live_events.append_all(conn, events, self._clock.now())

    def has_listeners(self, call_id: CallId) -> bool:
        """Whether anybody would hear a passing event of this call now."""
        return self._bus.has_listeners(call_id)

    def publish(self, *events: LiveEvent) -> None:
        """Send events to who listens now. Never blocks."""
        for event in events:
            self._bus.publish(event)
