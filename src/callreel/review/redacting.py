"""Redacting a call: finding sensitive data in its transcripts, and redactions that people add or remove."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.audit import AuditAction, AuditEvent, Via
from callreel.domain.errors import CallErasedError, CallreelError
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.redaction import RedactionPolicy, Stretch
from callreel.domain.transcript import TranscriptKind
from callreel.domain.work import Workflow
from callreel.redaction.find import FindOptions, find_entities
from callreel.redaction.masking import masked_turns
from callreel.review.summary import live_offset_ms, live_turns
from callreel.runtime.clock import Clock
from callreel.store.audit import trail
from callreel.store.calls import calls, erasures, holds, outbox
from callreel.store.calls.calls import CallRow
from callreel.store.db.database import Database
from callreel.store.insight import analyses
from callreel.store.transcripts import redactions, revisions, search
from callreel.store.transcripts.overwriting import mask_events
from callreel.store.transcripts.redactions import RedactionRow

LONGEST_MS = 10 * 60_000
BY_POLICY = "policy"


class RedactionError(CallreelError):
    """A redaction that cannot be added or removed."""


@dataclass(frozen=True, slots=True)
class RedactionOptions:
    """`margin_ms` is silenced before and after the words."""

    policy: RedactionPolicy = RedactionPolicy.OFF
    find: FindOptions = FindOptions()
    margin_ms: int = 250


class Redacting:
    """Blocking; safe from any thread; each method may run twice."""

    def __init__(
        self, database: Database, publisher: EventPublisher, clock: Clock, options: RedactionOptions
    ) -> None:
        self.options = options
        self._database = database
        self._publisher = publisher
        self._clock = clock

    def preview(self, call_id: CallId) -> Sequence[Stretch]:
        """What `find` would add, without adding it. Raises CallErasedError."""
        found = self._found(call_id)
        with self._database.read() as conn:
            return redactions.new_among(conn, call_id, found)

    def find(self, call_id: CallId, by: str = BY_POLICY, via: Via = Via.SERVER) -> int:
        """Look for sensitive data in the call's transcripts and mask it; returns how many redactions are new.

        `by` and `via` are for the audit trail.
        """
        found = self._found(call_id)
        known = self._tokens(call_id, more=found)
        with self._database.write() as conn:
            calls.lock(conn, call_id)
            now = self._clock.now()
            new = redactions.add_found(conn, call_id, found, now)
            if new:
                calls.set_originals_destroyed(conn, call_id, None)
                analyses.set_redacted(conn, call_id)
            calls.set_redacted(conn, call_id, now)
            event = self._apply(conn, call_id, known)
            if new:
                entry = AuditEvent(
                    now, AuditAction.REDACTED, by, via, call_id=call_id, details={"redactions": new}
                )
                trail.record(conn, entry)
        self._publisher.publish(event)
        return new

    def add(self, call_id: CallId, stretch: Stretch, by: str) -> RedactionRow:
        """Redact a stretch. Raises RedactionError."""
        if not 0 <= stretch.start_ms < stretch.end_ms or stretch.end_ms - stretch.start_ms > LONGEST_MS:
            raise RedactionError("a redaction has a start before its end, and at most 10 minutes")
        known = self._tokens(call_id, more=[stretch])
        with self._database.write() as conn:
            calls.lock(conn, call_id)
            self._check_ended(conn, call_id)
            row = redactions.add(conn, call_id, stretch, by, self._clock.now())
            calls.set_originals_destroyed(conn, call_id, None)
            analyses.set_redacted(conn, call_id)
            if self.options.policy is RedactionPolicy.REDACTED_ONLY:
                outbox.put(conn, call_id, Workflow.REDACT, call_id, self._clock.now())
            event = self._apply(conn, call_id, known)
        self._publisher.publish(event)
        return row

    def remove(self, call_id: CallId, redaction_id: int, by: str) -> bool:
        """Show a stretch again; False if there is no such redaction in force. Raises RedactionError."""
        known = self._tokens(call_id, without=redaction_id)
        with self._database.write() as conn:
            calls.lock(conn, call_id)
            rows = redactions.of_call(conn, call_id)
            row = next((one for one in rows if one.id == redaction_id and one.removed_at is None), None)
            if row is None:
                return False
            call = calls.get(conn, call_id)
            if call is not None and call.originals_destroyed_at is not None:
                raise RedactionError("the original of this redaction was destroyed, so it cannot be removed")
            redactions.remove(conn, row, by, self._clock.now())
            event = self._apply(conn, call_id, known)
        self._publisher.publish(event)
        return True

    def held(self, call_id: CallId) -> bool:
        """Whether a legal hold forbids to destroy originals."""
        with self._database.read() as conn:
            return holds.current(conn, call_id) is not None

    def _found(self, call_id: CallId) -> list[Stretch]:
        with self._database.read() as conn:
            row = calls.get(conn, call_id)
            if row is None or erasures.get(conn, call_id) is not None:
                raise CallErasedError(f"call {call_id} was erased, or is being erased")
            shown = revisions.shown(conn, call_id)
            live = live_turns(conn, row)
        texts = [live, *((shown.turns, shown.machine.turns) if shown else ())]
        return [one for turns in texts for one in find_entities(turns, self.options.find)]

    def _check_ended(self, conn: Connection, call_id: CallId) -> None:
        row = calls.get(conn, call_id)
        if row is None or row.ended_at is None:
            raise RedactionError("a call can be redacted after it has ended")

    def _tokens(
        self, call_id: CallId, *, more: Sequence[Stretch] = (), without: int | None = None
    ) -> search.Tokenized:
        """The tokens of the call's text as it will be masked, taken before the transaction: long texts take CPU time."""
        with self._database.read() as conn:
            row = calls.get(conn, call_id)
            if row is None:
                return search.NONE
            shown = revisions.shown(conn, call_id)
            turns = shown.turns if shown else live_turns(conn, row)
            listed = redactions.of_call(conn, call_id)
            masks = [one.stretch for one in listed if one.removed_at is None and one.id != without]
            return search.tokenized(conn, masked_turns(turns, [*masks, *more]))

    def _apply(self, conn: Connection, call_id: CallId, known: search.Tokenized) -> LiveEvent:
        """Update what is derived from the redactions: search, and the text of stored events."""
        row = calls.get(conn, call_id)
        shown = revisions.shown(conn, call_id)
        assert row is not None
        turns = shown.turns if shown else live_turns(conn, row)
        search.index_turns(conn, call_id, turns, known)
        mask_events(conn, call_id, on_live_clock(row, redactions.in_force(conn, call_id)))
        data: dict[str, Json] = {"kind": TranscriptKind.FINAL.value, "turns": len(turns), "redacted": True}
        return self._publisher.record(conn, LiveEvent(call_id, EventKind.TRANSCRIPT, data))


def on_live_clock(row: CallRow, stretches: Sequence[Stretch]) -> list[Stretch]:
    """The stretches as positions in the live layers."""
    offset = live_offset_ms(row)
    return [
        replace(one, start_ms=one.start_ms - offset, end_ms=one.end_ms - offset)
        for one in stretches
        if one.end_ms > offset
    ]
