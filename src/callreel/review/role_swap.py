"""Swapping agent and technician of a whole call, for calls whose parties were recorded on the wrong tracks.

Files and rows keep the recorded roles; what is displayed, exported and counted has them exchanged. Each swap is a fact.
"""

import logging

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.call import CallState
from callreel.domain.errors import CallreelError
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.review.summary import ROLES_SWAPPED
from callreel.runtime.clock import Clock
from callreel.store.audit.pending import describe
from callreel.store.calls import calls, facts
from callreel.store.db.database import Database

log = logging.getLogger(__name__)


class LiveRolesError(CallreelError):
    """The roles of a live call cannot be swapped."""


class RoleSwaps:
    """The use case behind `POST /api/v1/calls/{call_id}/swap-roles`. Blocking; safe from any thread."""

    def __init__(self, database: Database, publisher: EventPublisher, clock: Clock) -> None:
        self._database = database
        self._publisher = publisher
        self._clock = clock

    def set(self, call_id: CallId, by: str, *, swapped: bool) -> None:
        """Swap the roles of an existing call, or restore the recorded ones. Without a change nothing is stored.

        Raises LiveRolesError for a live call, whose transcript still grows in another process.
        """
        with self._database.write() as conn:
            # The lock keeps a transcript from being indexed with the roles that held before.
            calls.lock(conn, call_id)
            call = calls.get(conn, call_id)
            if call is None or call.state is CallState.LIVE:
                raise LiveRolesError("the roles can be swapped when the call has ended")
            if not calls.set_roles_swapped(conn, call_id, swapped):
                return
            describe(swapped=swapped)
            facts.note(conn, ROLES_SWAPPED, {"swapped": swapped, "by": by}, self._clock.now(), call_id)
            event = self._publisher.record(
                conn, LiveEvent(call_id, EventKind.CALL, {"roles_swapped": swapped})
            )
        log.info("roles %s", "swapped" if swapped else "restored", extra={"call_id": call_id, "by": by})
        self._publisher.publish(event)
