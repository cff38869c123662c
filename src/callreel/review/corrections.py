"""Correcting a transcript: a revision over the machine's text, indexed for search and published in one transaction."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.errors import CallreelError
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.transcript import TranscriptKind
from callreel.redaction.masking import masked_turns
from callreel.review.turn_edits import Change, corrected
from callreel.runtime.clock import Clock
from callreel.store.audit.pending import describe
from callreel.store.calls import calls
from callreel.store.db.database import Database
from callreel.store.transcripts import redactions, revisions, search
from callreel.store.transcripts.revisions import RevisionRow

MOST_REVISIONS: Final = 1000
"""Each keeps the whole text of the turns that it changes."""


class ConflictError(CallreelError):
    """Another person has corrected the transcript meanwhile, there is none yet, or it was corrected too often."""


class Corrections:
    """The use case behind `POST /api/v1/calls/{call_id}/revisions`. Blocking; safe from any thread."""

    def __init__(self, database: Database, publisher: EventPublisher, clock: Clock) -> None:
        self._database = database
        self._publisher = publisher
        self._clock = clock

    def correct(self, call_id: CallId, base: int, changes: Sequence[Change], by: str) -> RevisionRow:
        """Save `changes` to revision `base` (0: the engine's text) as the next revision.

        Raises ConflictError when `base` is not the newest or there is no final transcript, CorrectionError for changes
        that do not fit or change nothing.
        """
        with self._database.read() as conn:
            shown, masks = revisions.shown(conn, call_id), redactions.in_force(conn, call_id)
        if shown is None:
            raise ConflictError("the call has no final transcript yet")
        if base != shown.number:
            raise ConflictError(
                f"expected changes to revision {shown.number}, got {base}: reload the transcript"
            )
        if shown.number >= MOST_REVISIONS:
            raise ConflictError(f"a transcript has at most {MOST_REVISIONS} revisions")
        shown = replace(shown, turns=masked_turns(shown.turns, masks))  # corrections keep the masks
        # Aligning and indexing words take CPU time, so they are done before the transaction, which checks that nothing changed.
        changed = corrected(shown.turns, changes)
        with self._database.read() as conn:
            known = search.tokenized(conn, revisions.after(shown, changed))
        with self._database.write() as conn:
            calls.lock(conn, call_id)
            if not revisions.is_newest(conn, call_id, shown) or redactions.in_force(conn, call_id) != masks:
                raise ConflictError("another person changed the transcript meanwhile: reload it")
            kept = [_change(change) for change in changes]
            row = revisions.add(conn, call_id, shown, changed, kept, by, self._clock.now(), known)
            describe(revision=row.number, changes=len(kept))
            turns = len(shown.turns) - sum(turn is None for turn in changed.values())
            data: dict[str, Json] = {
                "kind": TranscriptKind.FINAL.value,
                "turns": turns,
                "revision": row.number,
            }
            event = self._publisher.record(conn, LiveEvent(call_id, EventKind.TRANSCRIPT, data))
        self._publisher.publish(event)
        return row


def _change(change: Change) -> dict[str, Json]:
    """The change as requested, without unset fields."""
    document: dict[str, Json] = {"turn": change.turn}
    if change.word is not None:
        document["word"] = change.word
    if change.text is not None:
        document["text"] = change.text
    if change.role is not None:
        document["role"] = change.role.value
    return document
