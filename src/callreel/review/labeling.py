"""Labels: the team's list, and giving labels to calls and taking them away, published as live events."""

from sqlalchemy import Connection

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.errors import CallreelError
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.label import MOST_LABELS, LabelColor, checked_name
from callreel.runtime.clock import Clock
from callreel.store.audit.pending import describe
from callreel.store.calls import labels
from callreel.store.calls.labels import LabelRow
from callreel.store.db.database import Database


class LabelError(CallreelError):
    """A label's name cannot be used, or there are too many labels."""


class NoLabelError(CallreelError):
    """There is no such label."""


class Labeling:
    """Blocking; safe from any thread."""

    def __init__(self, database: Database, publisher: EventPublisher, clock: Clock) -> None:
        self._database = database
        self._publisher = publisher
        self._clock = clock

    def add(self, name: str, color: LabelColor) -> LabelRow:
        """Add a label to the team's list. Raises LabelError, LabelTakenError."""
        name = _checked(name)
        with self._database.write() as conn:
            if len(labels.all_labels(conn)) >= MOST_LABELS:
                raise LabelError(f"a team has at most {MOST_LABELS} labels")
            row = labels.add(conn, name, color)
            describe(subject=str(row.id), label=name)
        return row

    def change(self, label_id: int, name: str | None, color: LabelColor | None) -> LabelRow:
        """Rename or recolor a label on all calls. Raises LabelError, LabelTakenError, NoLabelError."""
        name = None if name is None else _checked(name)
        with self._database.write() as conn:
            before = _existing(conn, label_id)
            row = labels.change(conn, label_id, name=name, color=color)
            assert row is not None
            describe(label=row.name, before=before.name)
        return row

    def remove(self, label_id: int) -> int:
        """Delete a label, also from its calls; returns how many had it. Raises NoLabelError."""
        with self._database.write() as conn:
            row = _existing(conn, label_id)
            count = labels.remove(conn, label_id)
            describe(label=row.name, calls=count)
        return count

    def attach(self, call_id: CallId, label_id: int, by: str) -> bool:
        """Give an existing call a label; False if it has it already. Raises NoLabelError."""
        with self._database.write() as conn:
            row = _existing(conn, label_id)
            if not labels.attach(conn, call_id, label_id, by, self._clock.now()):
                return False
            describe(label=row.name)
            event = self._changed(conn, call_id)
        self._publisher.publish(event)
        return True

    def detach(self, call_id: CallId, label_id: int) -> bool:
        """Take a label from a call; False if it did not have it. Raises NoLabelError."""
        with self._database.write() as conn:
            row = _existing(conn, label_id)
            if not labels.detach(conn, call_id, label_id):
                return False
            describe(label=row.name)
            event = self._changed(conn, call_id)
        self._publisher.publish(event)
        return True

    def _changed(self, conn: Connection, call_id: CallId) -> LiveEvent:
        now: list[Json] = [row.id for row in labels.of_calls(conn, [call_id]).get(call_id, [])]
        return self._publisher.record(conn, LiveEvent(call_id, EventKind.CALL, {"labels": now}))


def _existing(conn: Connection, label_id: int) -> LabelRow:
    row = labels.get(conn, label_id)
    if row is None:
        raise NoLabelError("there is no such label")
    return row


def _checked(name: str) -> str:
    try:
        return checked_name(name)
    except ValueError as error:
        raise LabelError(str(error)) from None
