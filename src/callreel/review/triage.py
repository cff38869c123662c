"""Following calls up: which are reviewed, and who is to look at them. Both are published as live events."""

from collections.abc import Mapping

from sqlalchemy import Connection

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.access import RIGHTS, Right
from callreel.domain.call import CallState
from callreel.domain.errors import CallreelError
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId
from callreel.runtime.clock import Clock
from callreel.store.audit.pending import describe
from callreel.store.calls import calls
from callreel.store.calls.calls import CallRow
from callreel.store.db.database import Database
from callreel.store.people import users


class LiveReviewError(CallreelError):
    """A live call cannot be reviewed yet."""


class AssigneeError(CallreelError):
    """A call cannot be assigned to this person."""


class Triage:
    """Of existing calls. Blocking; safe from any thread."""

    def __init__(self, database: Database, publisher: EventPublisher, clock: Clock) -> None:
        self._database = database
        self._publisher = publisher
        self._clock = clock

    def mark_reviewed(self, call: CallRow, by: str) -> bool:
        """False if it is reviewed already, by whomever. Raises LiveReviewError."""
        if call.state is CallState.LIVE:
            raise LiveReviewError("the call can be reviewed when it has ended")
        with self._database.write() as conn:
            if not calls.set_reviewed(conn, call.id, by, self._clock.now()):
                return False
            event = self._record(conn, call.id, {"reviewed": True})
        self._publisher.publish(event)
        return True

    def unmark_reviewed(self, call: CallRow) -> bool:
        """False if it is not reviewed."""
        with self._database.write() as conn:
            if not calls.unset_reviewed(conn, call.id):
                return False
            event = self._record(conn, call.id, {"reviewed": False})
        self._publisher.publish(event)
        return True

    def assign(self, call: CallRow, name: str | None, by: str) -> bool:
        """Assign a call to a person, or with None to no one; False if it is so already. Raises AssigneeError."""
        with self._database.write() as conn:
            if name is not None and name != by and name not in assignable(conn, call.agent):
                raise AssigneeError(
                    "the call cannot be assigned to a person who does not exist or cannot see it"
                )
            if not calls.set_assigned(conn, call.id, name):
                return False
            describe(person=name)
            event = self._record(conn, call.id, {"assigned_to": name})
        self._publisher.publish(event)
        return True

    def _record(self, conn: Connection, call_id: CallId, data: Mapping[str, Json]) -> LiveEvent:
        return self._publisher.record(conn, LiveEvent(call_id, EventKind.CALL, data))


def assignable(conn: Connection, agent: str | None = None) -> list[str]:
    """The names of the people who see the calls of this agent's identity, or all calls."""
    return [
        user.name
        for user in users.all_users(conn)
        if not user.disabled and (Right.READ_ALL_CALLS in RIGHTS[user.role] or user.identity == agent)
    ]
