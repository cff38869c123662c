"""Data that retention policies deleted, as rows: the order, and then the record of it, which outlives the call."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from callreel.domain.call import CallState
from callreel.domain.caller import DELETED
from callreel.domain.errors import TextDeletedError
from callreel.domain.events import EventKind, Json
from callreel.domain.ids import CallId
from callreel.domain.retention import DataKind, Subject
from callreel.store.calls import calls as call_rows
from callreel.store.calls import labels
from callreel.store.calls.calls import CallRow
from callreel.store.db.dialect import insert_new
from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import (
    analyses,
    analysis_items,
    call_moments,
    callbacks,
    calls,
    erasures,
    expired_data,
    facts,
    finals,
    layers,
    live_events,
    live_scores,
    notes,
    phrase_alerts,
    spilled_segments,
    topics,
    transcripts,
    turn_index,
    turns,
)
from callreel.store.scorecards import reviews

_TEXT = (
    transcripts, finals, turn_index, notes, live_scores, phrase_alerts, topics, call_moments, analyses, analysis_items,
)  # fmt: skip
_SPOKEN = (EventKind.FINAL, EventKind.NOTE, EventKind.PHRASE_ALERT)


@dataclass(frozen=True, slots=True)
class ExpiredRow:
    """`done_at` is None while something is left. `files` are digests by path, `counts` numbers of deleted rows by table."""

    id: int
    call_id: CallId
    kind: DataKind
    policy: str
    ordered_at: datetime
    done_at: datetime | None
    files: dict[str, Json] = field(default_factory=dict)
    counts: dict[str, Json] = field(default_factory=dict)


def subjects(conn: Connection, closed_before: datetime) -> list[tuple[CallId, Subject]]:
    """What policies look at, of all calls that were closed before then and are not being erased; oldest first."""
    query = (
        select(calls)
        .outerjoin(erasures, erasures.c.call_id == calls.c.id)
        .where(
            calls.c.state == CallState.CLOSED,
            calls.c.closed_at <= closed_before,
            erasures.c.call_id.is_(None),
        )
        .order_by(calls.c.closed_at, calls.c.id)
    )
    named = labels.names(conn)
    return [(row.id, _subject(row, named.get(row.id))) for row in fetch_all(conn, CallRow, query)]


def subject_of(conn: Connection, call: CallRow) -> Subject:
    """What policies look at in a closed call."""
    return _subject(call, {label.name for label in labels.of_calls(conn, [call.id]).get(call.id, [])})


def _subject(call: CallRow, named: Collection[str] | None) -> Subject:
    assert call.closed_at is not None
    return Subject(
        call.remote_number,
        call.agent,
        call.verdict or "none",
        call.direction,
        call.closed_at,
        frozenset(named or ()),
    )


def done(conn: Connection) -> set[tuple[CallId, DataKind]]:
    """What is deleted already."""
    query = select(expired_data.c.call_id, expired_data.c.kind).where(expired_data.c.done_at.is_not(None))
    return {(CallId(row.call_id), row.kind) for row in conn.execute(query)}


def of_call(conn: Connection, call_id: CallId) -> list[ExpiredRow]:
    """In the order in which they were ordered."""
    query = select(expired_data).where(expired_data.c.call_id == call_id)
    return fetch_all(conn, ExpiredRow, query.order_by(expired_data.c.id))


def newest(conn: Connection, limit: int) -> list[ExpiredRow]:
    """The report: unfinished ones first, then the newest."""
    query = select(expired_data).order_by(
        expired_data.c.done_at.is_not(None), expired_data.c.done_at.desc(), expired_data.c.id.desc()
    )
    return fetch_all(conn, ExpiredRow, query.limit(limit))


def refuse_text(conn: Connection, call_id: CallId) -> None:
    """Lock the call, and refuse new text about it if a policy ordered the deletion of its text. Raises TextDeletedError."""
    call_rows.lock(conn, call_id)
    if text_deleted(conn, call_id):
        raise TextDeletedError(
            "a retention policy deleted the text of this call: nothing more can be written about it"
        )


def text_deleted(conn: Connection, call_id: CallId) -> bool:
    """Whether a policy ordered the deletion of the call's text. It stays so while the transaction has locked the call."""
    return any(row.kind is DataKind.TEXT for row in of_call(conn, call_id))


def order(
    conn: Connection, call_id: CallId, kind: DataKind, policy: str, at: datetime, files: dict[str, Json]
) -> None:
    """Save that this data is to be deleted; a repeated order changes nothing."""
    values = {
        "call_id": call_id, "kind": kind, "policy": policy, "ordered_at": at, "done_at": None, "files": files, "counts": {},
    }  # fmt: skip
    insert_new(conn, expired_data, values)


def finish(conn: Connection, call_id: CallId, kind: DataKind, at: datetime, counts: dict[str, Json]) -> None:
    """Save that it is deleted."""
    mine = expired_data.c.call_id == call_id, expired_data.c.kind == kind
    conn.execute(update(expired_data).where(*mine).values(done_at=at, counts=counts))


def record_call(conn: Connection, call_id: CallId, policy: str, at: datetime) -> None:
    """Save that a policy ordered the erasure of the whole call; its tombstone has the rest."""
    values = {
        "call_id": call_id, "kind": DataKind.CALL, "policy": policy, "ordered_at": at, "done_at": at, "files": {},
        "counts": {},
    }  # fmt: skip
    conn.execute(insert(expired_data).values(values))


def delete_layers(conn: Connection, call_id: CallId) -> dict[str, Json]:
    """Delete the rows of a call's audio files; returns how many."""
    return {"layers": conn.execute(delete(layers).where(layers.c.call_id == call_id)).rowcount}


def delete_text(conn: Connection, call_id: CallId) -> dict[str, Json]:
    """Delete transcripts with their corrections, topics, notes, alerts, analyses, their events, and the texts of reviews.

    Returns how many of each. The call is locked, so that a concurrent change cannot write back a text that it read before.
    """
    call_rows.lock(conn, call_id)
    counts: dict[str, Json] = {
        table.name: conn.execute(delete(table).where(table.c.call_id == call_id)).rowcount for table in _TEXT
    }
    quoted = live_events.c.call_id == call_id, live_events.c.kind.in_(_SPOKEN)
    counts["live_events"] = conn.execute(delete(live_events).where(*quoted)).rowcount
    counts["scorecard_reviews"] = reviews.blank_texts(conn, call_id)
    return {name: count for name, count in counts.items() if count}


def delete_captured(conn: Connection, call_id: CallId) -> dict[str, Json]:
    """Delete what was made of a call's sound and the rows of its files, and the keys that were pressed; notes stay.

    A transcript stays without turns, since the work after the call waits for it. Returns how many rows of each table.
    """
    call_rows.lock(conn, call_id)
    tables = [layers, *(table for table in _TEXT if table not in (notes, transcripts)), spilled_segments]
    counts: dict[str, Json] = {
        table.name: conn.execute(delete(table).where(table.c.call_id == call_id)).rowcount for table in tables
    }
    of_call = select(transcripts.c.id).where(transcripts.c.call_id == call_id)
    counts["turns"] = conn.execute(delete(turns).where(turns.c.transcript_id.in_(of_call))).rowcount
    said = live_events.c.call_id == call_id, live_events.c.kind.in_((EventKind.FINAL, EventKind.PHRASE_ALERT))
    counts["live_events"] = conn.execute(delete(live_events).where(*said)).rowcount
    keys = facts.c.call_id == call_id, facts.c.kind.in_(("digit", "unknown_stream_event"))
    counts["facts"] = conn.execute(delete(facts).where(*keys)).rowcount
    return {name: count for name, count in counts.items() if count}


def delete_numbers(conn: Connection, call_id: CallId, sids: Sequence[str]) -> dict[str, Json]:
    """Delete the other party's number from the call, and what the carrier reported about `sids`; returns how many rows."""
    changed = update(calls).where(calls.c.id == call_id).values(remote_number=DELETED)
    counts: dict[str, Json] = {"calls": conn.execute(changed).rowcount}
    reported = 0
    for sid in sids:
        reported += conn.execute(delete(callbacks).where(callbacks.c.key.contains(sid))).rowcount
    counts["callbacks"] = reported
    counts["facts"] = conn.execute(delete(facts).where(facts.c.leg_sid.in_(list(sids)))).rowcount
    return {name: count for name, count in counts.items() if count}
