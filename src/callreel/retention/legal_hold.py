"""Legal holds: while a call is held, no person and no policy erases any of it, here or at the carrier.

Archiving continues: it keeps the exact samples, proven by digest. Each hold stays as a row, with who set it and why, and who
released it and why.
"""

import logging

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.erasure import LONGEST_REASON
from callreel.domain.errors import CallreelError
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.runtime.clock import Clock
from callreel.store.calls import calls, erasures, holds
from callreel.store.calls.holds import HoldRow
from callreel.store.db.database import Database

log = logging.getLogger(__name__)


class HoldRefusedError(CallreelError):
    """A call cannot be held or released in its present state."""


class ReasonError(CallreelError):
    """A reason is missing or too long."""


class LegalHolds:
    """Blocking; safe from any thread."""

    def __init__(self, database: Database, publisher: EventPublisher, clock: Clock) -> None:
        self._database = database
        self._publisher = publisher
        self._clock = clock

    def hold(self, call_id: CallId, reason: str, by: str) -> HoldRow:
        """Keep a call from being erased. Raises ReasonError, NoCallError, HoldRefusedError."""
        reason = checked_reason(reason)
        with self._database.write() as conn:
            calls.locked(conn, call_id)
            if erasures.get(conn, call_id) is not None:
                raise HoldRefusedError("the call is being erased, so it can no longer be held")
            held = holds.current(conn, call_id)
            if held is not None:
                raise HoldRefusedError(f"the call is held already, by {held.by} since {held.at:%Y-%m-%d}")
            row = holds.add(conn, call_id, reason, by, self._clock.now())
            event = self._publisher.record(conn, LiveEvent(call_id, EventKind.CALL, {"held": True}))
        log.info("legal hold set", extra={"call_id": call_id})
        self._publisher.publish(event)
        return row

    def release(self, call_id: CallId, reason: str, by: str) -> HoldRow:
        """Release a held call; this erases nothing. Raises ReasonError, NoCallError, HoldRefusedError."""
        reason = checked_reason(reason)
        with self._database.write() as conn:
            calls.locked(conn, call_id)
            held = holds.current(conn, call_id)
            if held is None:
                raise HoldRefusedError("the call is not held")
            row = holds.release(conn, held.id, reason, by, self._clock.now())
            event = self._publisher.record(conn, LiveEvent(call_id, EventKind.CALL, {"held": False}))
        log.info("legal hold released", extra={"call_id": call_id})
        self._publisher.publish(event)
        return row


def checked_reason(reason: str, *, needed: bool = True) -> str:
    """The reason without surrounding spaces. Raises ReasonError."""
    reason = reason.strip()
    if needed and not reason:
        raise ReasonError("a reason is required; it is saved with the record")
    if len(reason) > LONGEST_REASON:
        raise ReasonError(f"a reason has at most {LONGEST_REASON} characters, not {len(reason)}")
    return reason
