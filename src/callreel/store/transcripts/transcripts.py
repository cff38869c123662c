"""Whole transcripts as rows, with their turns and words. Live final results, saved one by one, are in `finals.py`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select, update

from callreel.domain.cost import TranscribedAudio
from callreel.domain.ids import CallId
from callreel.domain.transcript import TranscriptKind, Turn
from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import calls, revisions, transcripts, utc_now
from callreel.store.db.tables import turns as turn_table
from callreel.store.transcripts import search

_AT_ONCE = 500  # values in one query
_TURN = [field.name for field in fields(Turn)]

# Statements that run at the end of every call, built once: building a statement costs more than running it.
_LOCKED = select(calls.c.id).where(calls.c.id == bindparam("call")).with_for_update(key_share=True)
_CORRECTED = select(revisions.c.transcript_id).where(revisions.c.call_id == bindparam("call")).limit(1)
_SHOWN = (
    select(transcripts.c.id)
    .where(transcripts.c.call_id == bindparam("call"))
    .order_by((transcripts.c.kind == TranscriptKind.FINAL).desc(), transcripts.c.revision.desc())
    .limit(1)
)
_SAME = select(transcripts.c.id).where(
    transcripts.c.call_id == bindparam("call"),
    transcripts.c.kind == bindparam("of_kind"),
    transcripts.c.engine == bindparam("of_engine"),
    transcripts.c.run == bindparam("of_run"),
)
_LAST = select(func.coalesce(func.max(transcripts.c.revision), 0)).where(
    transcripts.c.call_id == bindparam("call"), transcripts.c.kind == bindparam("of_kind")
)
_NEW = insert(transcripts).returning(transcripts.c.id)


@dataclass(frozen=True, slots=True)
class TranscriptRow:
    """The turns of a call by one engine. `revision` counts from 1 within the call and kind.

    `run` names the repeated transcription that made it, empty for the first pass; `reason` says why this engine was chosen;
    `audio_ms` is the duration of the decoded audio, at `price_per_minute`; `language` is a code, empty if unknown, and
    `detected` says that the engine detected it; `crosstalk` counts segments left out because the other party's voice leaked.
    """

    id: int
    call_id: CallId
    kind: TranscriptKind
    engine: str
    model: str
    revision: int
    created_at: datetime
    run: str
    reason: str
    audio_ms: int
    price_per_minute: float
    language: str
    detected: bool
    crosstalk: int
    turns: tuple[Turn, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Provenance:
    """The origin of a transcript; fields as in `TranscriptRow`."""

    run: str = ""
    reason: str = ""
    audio_ms: int = 0
    price_per_minute: float = 0.0
    language: str = ""
    detected: bool = False
    crosstalk: int = 0


def put(
    conn: Connection,
    call_id: CallId,
    kind: TranscriptKind,
    engine: str,
    model: str,
    turns: Sequence[Turn],
    made: Provenance | None = None,
    known: search.Tokenized = search.NONE,
) -> int:
    """Save a transcript and return its row's id.

    The first transcript of an engine in a run is a new revision; a further one replaces it, so that a stage may repeat.
    A transcript with corrections stays as it is: they refer to its turns. The displayed transcript is indexed for search
    in the same transaction; `known` has tokens that were taken before it.
    """
    # Two engines that finish at once must not take the same revision number. The lock still admits rows that refer to the
    # call: another transaction may be inserting an event of it while it holds the lock on the order of events.
    if conn.execute(_LOCKED, {"call": call_id}).first() is None:
        raise LookupError(f"there is no call {call_id}")
    made = made or Provenance()
    corrected: int | None = conn.execute(_CORRECTED, {"call": call_id}).scalar()
    one = {"call": call_id, "of_kind": kind, "of_engine": engine, "of_run": made.run}
    same: int | None = conn.execute(_SAME, one).scalar()
    if same is not None and same == corrected:
        return same
    values = {"model": model, "created_at": utc_now(), **asdict(made)}
    if same is None:
        revision = 1 + conn.execute(_LAST, {"call": call_id, "of_kind": kind}).scalar_one()
        values |= {"call_id": call_id, "kind": kind, "engine": engine, "revision": revision}
        same = conn.execute(_NEW, values).scalar_one()
    else:
        conn.execute(update(transcripts).where(transcripts.c.id == same).values(**values))
        conn.execute(delete(turn_table).where(turn_table.c.transcript_id == same))
    rows = [
        {"transcript_id": same, "position": position, **{name: getattr(turn, name) for name in _TURN}}
        for position, turn in enumerate(turns)
    ]
    if rows:
        conn.execute(insert(turn_table), rows)
    if corrected is None and same == conn.execute(_SHOWN, {"call": call_id}).scalar():
        search.index_turns(conn, call_id, turns, known)
    return same


def get(conn: Connection, transcript_id: int) -> TranscriptRow | None:
    """One transcript, with turns and words."""
    return _first(conn, select(transcripts).where(transcripts.c.id == transcript_id))


def latest_id(conn: Connection, call_id: CallId, kind: TranscriptKind) -> int | None:
    """The row's id of the newest revision."""
    query = select(transcripts.c.id).where(transcripts.c.call_id == call_id, transcripts.c.kind == kind)
    found: int | None = conn.execute(query.order_by(transcripts.c.revision.desc()).limit(1)).scalar()
    return found


def latest(conn: Connection, call_id: CallId, kind: TranscriptKind) -> TranscriptRow | None:
    """The newest revision, with turns and words."""
    query = select(transcripts).where(transcripts.c.call_id == call_id, transcripts.c.kind == kind)
    return _first(conn, query.order_by(transcripts.c.revision.desc()).limit(1))


def billed_audio(conn: Connection, call_ids: Sequence[CallId]) -> dict[CallId, list[TranscribedAudio]]:
    """The audio of these calls that engines charged for, by call; calls without any are left out."""
    found: dict[CallId, list[TranscribedAudio]] = {}
    for at in range(0, len(call_ids), _AT_ONCE):
        query = select(transcripts).where(
            transcripts.c.call_id.in_(call_ids[at : at + _AT_ONCE]), transcripts.c.price_per_minute > 0
        )
        for row in conn.execute(query.order_by(transcripts.c.id)):
            audio = TranscribedAudio(row.engine, row.audio_ms, Decimal(str(row.price_per_minute)))
            found.setdefault(CallId(row.call_id), []).append(audio)
    return found


def _turns(conn: Connection, transcript_id: int) -> tuple[Turn, ...]:
    query = select(*(turn_table.c[name] for name in _TURN)).where(turn_table.c.transcript_id == transcript_id)
    return tuple(fetch_all(conn, Turn, query.order_by(turn_table.c.position)))


def _first(conn: Connection, query: Select[Any]) -> TranscriptRow | None:
    found = conn.execute(query).first()
    return None if found is None else TranscriptRow(**found._mapping, turns=_turns(conn, found.id))
