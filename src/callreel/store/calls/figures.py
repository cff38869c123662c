"""Rows of all calls that began within a period, for reports: one query for each table, however many calls there are."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, Table, func, select

from callreel.domain.call import Role
from callreel.domain.ids import CallId, LegSid, RecordingSid
from callreel.domain.recording import FILE_PREFIX, CloudState
from callreel.domain.verdict import Verdict
from callreel.store.calls.calls import CallRow
from callreel.store.calls.measures import HEAD, MeasuresHead
from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import (
    call_labels,
    calls,
    carrier_deletions,
    labels,
    layers,
    legs,
    measures,
    phrase_alerts,
    recordings,
    streams,
    turn_index,
)

R = TypeVar("R")
AT_CARRIER = (CloudState.COMPLETED, CloudState.STORED, CloudState.PARKED)
"""States of recordings that the carrier has, unless they were deleted there."""


@dataclass(frozen=True, slots=True)
class CallHead:
    """Of a call what statistics need, named as in `CallRow`."""

    id: CallId
    agent: str
    leg_sid: LegSid
    created_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class LegHead:
    """Of a leg what its cost needs, named as in `LegRow`."""

    call_id: CallId
    role: Role
    duration_s: int | None
    price: float | None
    price_currency: str | None


@dataclass(frozen=True, slots=True)
class StreamHead:
    """Of a stream what its cost needs, named as in `StreamRow`."""

    call_id: CallId
    started_at: datetime
    stopped_at: datetime | None


@dataclass(frozen=True, slots=True)
class RecordingHead:
    """Of a recording what its cost and its place among others need, named as in `RecordingRow`."""

    sid: RecordingSid
    call_id: CallId
    state: CloudState
    channels: int | None
    duration_s: int | None
    price: float | None
    price_currency: str | None


@dataclass(frozen=True, slots=True)
class MeasuredSums:
    """Of a call's measures what statistics add up, named as in `MeasuresHead`."""

    call_id: CallId
    agent_talk_ms: int
    technician_talk_ms: int
    silence_ms: int
    overlap_ms: int
    interruptions: int
    agent_interruptions: int


def calls_between(conn: Connection, since: datetime, until: datetime) -> list[CallRow]:
    """Calls that began from `since` up to but not including `until`."""
    query = select(calls).where(calls.c.created_at >= since, calls.c.created_at < until)
    return fetch_all(conn, CallRow, query.order_by(calls.c.created_at))


def heads_between(conn: Connection, since: datetime, until: datetime, agent: str | None) -> list[CallHead]:
    """The same calls, without what statistics do not need; of one agent's identity, or of all."""
    query = _heads(CallHead, calls).where(calls.c.created_at >= since, calls.c.created_at < until)
    if agent is not None:
        query = query.where(calls.c.agent == agent)
    return _fetch(conn, CallHead, query.order_by(calls.c.created_at))


def legs_between(conn: Connection, since: datetime, until: datetime) -> list[LegHead]:
    return _fetch(conn, LegHead, _of_calls(LegHead, legs, since, until))


def streams_between(conn: Connection, since: datetime, until: datetime) -> list[StreamHead]:
    return _fetch(conn, StreamHead, _of_calls(StreamHead, streams, since, until))


def recordings_between(conn: Connection, since: datetime, until: datetime) -> list[RecordingHead]:
    return _fetch(conn, RecordingHead, _of_calls(RecordingHead, recordings, since, until))


def sums_between(conn: Connection, since: datetime, until: datetime) -> dict[CallId, MeasuredSums]:
    """What statistics add up of the measured calls."""
    at = measures.c.created_at
    query = _heads(MeasuredSums, measures).where(at >= since, at < until)
    return {row.call_id: row for row in _fetch(conn, MeasuredSums, query)}


def measured_between(conn: Connection, since: datetime, until: datetime) -> dict[CallId, MeasuresHead]:
    """The measures of the measured calls."""
    query = select(*HEAD).where(measures.c.created_at >= since, measures.c.created_at < until)
    return {row.call_id: row for row in fetch_all(conn, MeasuresHead, query)}


def labels_between(conn: Connection, since: datetime, until: datetime) -> dict[CallId, list[int]]:
    """The ids of each call's labels; calls without any are left out."""
    at = call_labels.c.created_at
    # An index has the calls of each label by time.
    every = call_labels.c.label_id.in_(select(labels.c.id))
    query = select(call_labels.c.call_id, call_labels.c.label_id).where(every, at >= since, at < until)
    found: dict[CallId, list[int]] = {}
    for call_id, label_id in conn.execute(query):
        found.setdefault(CallId(call_id), []).append(label_id)
    return found


@dataclass(frozen=True, slots=True)
class AlertHead:
    """An alert of a phrase rule: its call, and the rule with its name at that time."""

    call_id: CallId
    rule_id: int
    rule: str = field(repr=False)


def alerts_between(conn: Connection, since: datetime, until: datetime) -> list[AlertHead]:
    """Alerts of the calls, in the order in which they were raised."""
    query = (
        _heads(AlertHead, phrase_alerts)
        .join(calls, calls.c.id == phrase_alerts.c.call_id)
        .where(calls.c.created_at >= since, calls.c.created_at < until)
    )
    return _fetch(conn, AlertHead, query.order_by(phrase_alerts.c.id))


def spoken_between(conn: Connection, since: datetime, until: datetime) -> dict[CallId, dict[str, int]]:
    """Milliseconds of displayed turns of each role, by call that is not measured."""
    spoken = func.sum(turn_index.c.end_ms - turn_index.c.start_ms)
    query = (
        select(turn_index.c.call_id, turn_index.c.role, spoken)
        .join(calls, calls.c.id == turn_index.c.call_id)
        .where(calls.c.created_at >= since, calls.c.created_at < until)
        .where(calls.c.id.not_in(select(measures.c.call_id)))
        .group_by(turn_index.c.call_id, turn_index.c.role)
    )
    found: dict[CallId, dict[str, int]] = {}
    for call_id, role, spoken_ms in conn.execute(query):
        found.setdefault(call_id, {})[role.value] = int(spoken_ms)
    return found


def stored_between(conn: Connection, since: datetime, until: datetime) -> dict[CallId, int]:
    """Bytes of each call's layers in our storage."""
    query = (
        select(layers.c.call_id, func.sum(func.coalesce(layers.c.stored_bytes, layers.c.size_bytes)))
        .join(calls, calls.c.id == layers.c.call_id)
        .where(calls.c.created_at >= since, calls.c.created_at < until)
        .group_by(layers.c.call_id)
    )
    return {call_id: int(size_bytes) for call_id, size_bytes in conn.execute(query)}


def minutes_at_carrier(conn: Connection) -> int:
    """Started minutes of all recordings that the carrier stores, whenever they were made."""
    deleted = select(carrier_deletions.c.sid)
    query = select(func.sum((recordings.c.duration_s + 59) // 60)).where(
        recordings.c.state.in_(AT_CARRIER),
        recordings.c.sid.not_like(f"{FILE_PREFIX}%"),
        recordings.c.sid.not_in(deleted),
    )
    return int(conn.execute(query).scalar() or 0)


def _heads(row_type: type[Any], table: Table) -> Select[Any]:
    return select(*(table.c[field.name] for field in fields(row_type)))


def _fetch(conn: Connection, row_type: type[R], query: Select[Any]) -> list[R]:
    """Every row of a query that begins with `_heads(row_type, ...)`: its columns are in the order of the fields."""
    return [row_type(*row) for row in conn.execute(query)]


def _of_calls(row_type: type[Any], table: Table, since: datetime, until: datetime) -> Select[Any]:
    of_call = select(calls.c.id).where(calls.c.created_at >= since, calls.c.created_at < until)
    return _heads(row_type, table).where(table.c.call_id.in_(of_call))
