"""Labels: the team's list, and giving labels to calls and taking them away, published as live events.

A label that a retention rule names decides what is deleted of a call. Giving or removing it needs the right to hold calls, and
renaming or deleting it, which changes every call that has it, the right to erase them.
"""

from collections.abc import Callable, Collection, Sequence

from sqlalchemy import Connection

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.access import Right
from callreel.domain.errors import CallreelError
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.label import MOST_LABELS, LabelColor, checked_name
from callreel.domain.retention import Rule
from callreel.insight.instructions import LONGEST_INSTRUCTIONS
from callreel.runtime.clock import Clock
from callreel.store.audit.pending import describe
from callreel.store.calls import calls, labels
from callreel.store.calls.labels import LabelRow
from callreel.store.db.database import Database
from callreel.store.insight import instructions
from callreel.store.insight.instructions import InstructionsRow


class LabelError(CallreelError):
    """A label's name cannot be used, or there are too many labels."""


class NoLabelError(CallreelError):
    """There is no such label."""


class StaleInstructionsError(CallreelError):
    """The label has newer instructions than the ones that were edited."""


class RetentionLabelError(CallreelError):
    """A retention rule names the label, and the person lacks the right that this requires."""


class Labeling:
    """`rules` are the retention policies; the `rights` of its methods are those of the person. Blocking; safe from any thread."""

    def __init__(
        self, database: Database, publisher: EventPublisher, clock: Clock, rules: Sequence[Rule]
    ) -> None:
        self._rules = rules
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

    def change(
        self, label_id: int, name: str | None, color: LabelColor | None, rights: Collection[Right]
    ) -> LabelRow:
        """Rename or recolor a label on all calls.

        Raises LabelError, LabelTakenError, NoLabelError, RetentionLabelError.
        """
        name = None if name is None else _checked(name)
        with self._database.write() as conn:
            before = _existing(conn, label_id)
            if name not in (None, before.name):
                self._require(Right.ERASE_CALLS, rights, before.name, name)
            row = labels.change(conn, label_id, name=name, color=color)
            assert row is not None
            describe(label=row.name, before=before.name)
        return row

    def remove(self, label_id: int, rights: Collection[Right]) -> int:
        """Delete a label, also from its calls; returns how many had it. Raises NoLabelError, RetentionLabelError."""
        with self._database.write() as conn:
            row = _existing(conn, label_id)
            self._require(Right.ERASE_CALLS, rights, row.name)
            count = labels.remove(conn, label_id)
            describe(label=row.name, calls=count)
        return count

    def instruct(self, label_id: int, base: int, text: str, by: str) -> InstructionsRow:
        """Give a label the version of its instructions after `base`, which must be the newest, 0 without any; an empty text takes them out of force.

        Raises LabelError, NoLabelError, StaleInstructionsError.
        """
        text = text.replace("\r\n", "\n").strip()
        if len(text) > LONGEST_INSTRUCTIONS:
            raise LabelError(f"instructions have at most {LONGEST_INSTRUCTIONS} characters, got {len(text)}")
        with self._database.write() as conn:
            labels.lock(conn)
            label = _existing(conn, label_id)
            newest = next(iter(instructions.of_label(conn, label_id)), None)
            if base != (newest.number if newest else 0):
                raise StaleInstructionsError(
                    "the instructions were changed meanwhile: reload the page and edit those"
                )
            row = InstructionsRow(label_id, base + 1, text, by, self._clock.now())
            instructions.add(conn, row)
            describe(label=label.name, version=row.number)
        return row

    def check(self, label_id: int, rights: Collection[Right]) -> None:
        """Whether the person may give or remove this label. Raises NoLabelError, RetentionLabelError."""
        with self._database.read() as conn:
            self._usable(conn, label_id, rights)

    def attach(self, call_id: CallId, label_id: int, by: str, rights: Collection[Right]) -> bool:
        """Give a call a label; False if it has it already. Raises NoCallError, NoLabelError, RetentionLabelError."""
        now = self._clock.now()
        return self._change(
            call_id, label_id, rights, lambda conn: labels.attach(conn, call_id, label_id, by, now)
        )

    def detach(self, call_id: CallId, label_id: int, rights: Collection[Right]) -> bool:
        """Take a label from a call; False if it did not have it. Raises NoCallError, NoLabelError, RetentionLabelError."""
        return self._change(call_id, label_id, rights, lambda conn: labels.detach(conn, call_id, label_id))

    def _change(
        self, call_id: CallId, label_id: int, rights: Collection[Right], change: Callable[[Connection], bool]
    ) -> bool:
        with self._database.write() as conn:
            calls.locked(conn, call_id)
            row = self._usable(conn, label_id, rights)
            if not change(conn):
                return False
            describe(label=row.name)
            event = self._changed(conn, call_id)
        self._publisher.publish(event)
        return True

    def _usable(self, conn: Connection, label_id: int, rights: Collection[Right]) -> LabelRow:
        row = _existing(conn, label_id)
        self._require(Right.HOLD_CALLS, rights, row.name)
        return row

    def _require(self, right: Right, rights: Collection[Right], *names: str | None) -> None:
        """Refuse to change a label that a rule names without `right`."""
        if right in rights:
            return
        for name in names:
            if name is not None and any(rule.names_label(name) for rule in self._rules):
                raise RetentionLabelError(
                    f"a retention policy names the label {name}: this change needs the right {right.value}"
                )

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
