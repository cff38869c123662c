"""Corrections as rows: each revision with its author and time, and the turns that it changed.

All revisions of a call refer to one machine transcript: the newest final one at the time of the first correction. That
transcript never changes. The displayed transcript has its turns with the newest correction of each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.domain.transcript import TranscriptKind, Turn
from callreel.store.db.tables import revised_turns, revisions
from callreel.store.transcripts import search, transcripts
from callreel.store.transcripts.transcripts import TranscriptRow


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """`number` counts from 1 within the call; `changes` are those of the request."""

    number: int
    by: str
    at: datetime
    changes: Sequence[Mapping[str, Json]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Shown:
    """A call's final transcript as displayed. `places` has the index of each turn in the machine transcript."""

    machine: TranscriptRow
    turns: tuple[Turn, ...] = field(repr=False)
    places: tuple[int, ...] = field(repr=False)
    revision: RevisionRow | None = None

    @property
    def number(self) -> int:
        """Of the newest revision, 0 without corrections."""
        return self.revision.number if self.revision else 0


def shown(conn: Connection, call_id: CallId) -> Shown | None:
    """The displayed final transcript of a call; None until it exists."""
    newest = conn.execute(
        select(revisions).where(revisions.c.call_id == call_id).order_by(revisions.c.number.desc()).limit(1)
    ).first()
    if newest is None:
        machine = transcripts.latest(conn, call_id, TranscriptKind.FINAL)
        return None if machine is None else Shown(machine, machine.turns, tuple(range(len(machine.turns))))
    machine = transcripts.get(conn, newest.transcript_id)
    assert machine is not None  # the row refers to it
    turns: dict[int, Turn | None] = {**dict(enumerate(machine.turns)), **_revised(conn, machine)}
    kept = [(place, turn) for place, turn in turns.items() if turn is not None]
    return Shown(machine, tuple(turn for _, turn in kept), tuple(place for place, _ in kept), _row(newest))


def add(
    conn: Connection,
    call_id: CallId,
    base: Shown,
    changed: Mapping[int, Turn | None],
    changes: Sequence[Mapping[str, Json]],
    by: str,
    at: datetime,
    known: search.Tokenized = search.NONE,
) -> RevisionRow:
    """Save a revision of `base`, with the `changed` turns by their index in `base.turns`, and update the search index.

    `base` must be the newest, by `is_newest` in this transaction after `calls.lock`, so that no other revision comes between.
    `known` has tokens of texts that were taken before it.
    """
    row = {"call_id": call_id, "number": base.number + 1, "by": by, "at": at, "changes": list(changes)}
    new = insert(revisions).values(**row, transcript_id=base.machine.id).returning(revisions)
    kept = conn.execute(new).one()
    if changed:
        conn.execute(
            insert(revised_turns),
            [
                _revised_row(kept.id, base.places[place], turn, base.turns[place])
                for place, turn in changed.items()
            ],
        )
    search.index_turns(conn, call_id, after(base, changed), known)
    return _row(kept)


def after(base: Shown, changed: Mapping[int, Turn | None]) -> list[Turn]:
    """The turns of a revision of `base`."""
    turns: dict[int, Turn | None] = {**dict(enumerate(base.turns)), **changed}
    return [turn for turn in turns.values() if turn is not None]


def is_newest(conn: Connection, call_id: CallId, base: Shown) -> bool:
    """Whether `base` is still the displayed transcript, without reading its words."""
    newest: int | None = conn.execute(
        select(func.max(revisions.c.number)).where(revisions.c.call_id == call_id)
    ).scalar()
    if newest is not None:
        return newest == base.number
    return base.number == 0 and transcripts.latest_id(conn, call_id, TranscriptKind.FINAL) == base.machine.id


def of_call(conn: Connection, call_id: CallId, limit: int, before: int | None = None) -> list[RevisionRow]:
    """Up to `limit` revisions, newest first; of those with a number below `before` if it is given."""
    query = select(revisions).where(revisions.c.call_id == call_id).order_by(revisions.c.number.desc())
    if before is not None:
        query = query.where(revisions.c.number < before)
    return [_row(found) for found in conn.execute(query.limit(limit))]


def _revised(conn: Connection, machine: TranscriptRow) -> dict[int, Turn | None]:
    """The newest correction of each corrected turn, by its index in the machine transcript. None: removed."""
    newest = (
        select(revised_turns.c.position, func.max(revisions.c.number).label("number"))
        .join(revisions, revisions.c.id == revised_turns.c.revision_id)
        .where(revisions.c.transcript_id == machine.id)
        .group_by(revised_turns.c.position)
        .subquery()
    )
    query = (
        select(revised_turns)
        .join(revisions, revisions.c.id == revised_turns.c.revision_id)
        .join(
            newest,
            (newest.c.position == revised_turns.c.position) & (newest.c.number == revisions.c.number),
        )
        .where(revisions.c.transcript_id == machine.id)
    )
    return {
        row.position: None
        if row.removed
        else Turn(
            row.role,
            row.start_ms,
            row.end_ms,
            row.text,
            row.confidence,
            row.words,
            machine.turns[row.position].fallback_engine,
        )  # fmt: skip
        for row in conn.execute(query)
    }


def _revised_row(revision_id: int, place: int, turn: Turn | None, before: Turn) -> dict[str, Any]:
    kept = turn or before
    return {
        "revision_id": revision_id,
        "position": place,
        "removed": turn is None,
        "role": kept.role,
        "start_ms": kept.start_ms,
        "end_ms": kept.end_ms,
        "text": kept.text,
        "confidence": kept.confidence,
        "words": kept.words,
    }


def _row(found: Any) -> RevisionRow:
    return RevisionRow(found.number, found.by, found.at, found.changes)
