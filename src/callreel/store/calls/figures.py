"""Figures and rows of all calls that began within a period, for reports: a few queries, however many calls there are."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    CTE,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    ScalarSelect,
    Select,
    Table,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    select,
    union_all,
    values,
)

from callreel.domain.call import Role
from callreel.domain.ids import CallId
from callreel.domain.recording import FILE_PREFIX, CloudState
from callreel.domain.verdict import Verdict
from callreel.store.calls.calls import CallRow
from callreel.store.calls.measures import HEAD, MeasuresHead
from callreel.store.calls.recordings import AT_CARRIER
from callreel.store.db.dialect import at_least_zero, seconds_between, without_compilation
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
    transcripts,
    turn_index,
)
from callreel.store.db.types import UTCDateTime

R = TypeVar("R")
BEST_FIRST = (
    CloudState.STORED,
    CloudState.PARKED,
    CloudState.COMPLETED,
    CloudState.FAILED,
    CloudState.ABSENT,
)
"""In which order of states a recording represents its call."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over the calls of one day and one agent, or of one day and one label.

    `day` counts the days of the period from 0. Talk time is that of turns where a call is not measured. The minutes are those
    that the carrier charges for and has not rated yet; `charged` is the sum of its own prices in the currency that was given,
    and `transcribed` that of engines.
    """

    day: int
    agent: str | None
    label: int | None
    calls: int
    verified: int
    explained: int
    suspect: int
    imported: int
    duration_ms: int
    measured: int
    agent_talk_ms: int
    technician_talk_ms: int
    silence_ms: int
    overlap_ms: int
    interruptions: int
    agent_interruptions: int
    storage_bytes: int
    carrier_minutes: int
    client_minutes: int
    number_minutes: int
    stream_minutes: int
    recording_minutes: int
    charged: float
    transcribed: float


def calls_between(conn: Connection, since: datetime, until: datetime) -> list[CallRow]:
    """Calls that began from `since` up to but not including `until`."""
    query = select(calls).where(calls.c.created_at >= since, calls.c.created_at < until)
    return fetch_all(conn, CallRow, query.order_by(calls.c.created_at))


def sums_between(
    conn: Connection, days: Sequence[tuple[datetime, datetime]], agent: str | None, currency: str
) -> list[Sums]:
    """The sums of each day and agent, then those of each day and label; only those with calls.

    `days` are the start and the end of each day, one after the other; `agent` is the identity whose calls count, None for all.
    Prices of the carrier in another currency than `currency` do not count as known.
    """
    without_compilation(conn)
    each = _each_call(conn, days, agent, currency).cte("each_call")
    summed = [func.sum(each.c[name]) for name in _SUMMED]
    number = func.count()
    by_agent = select(each.c.day, each.c.agent, cast(null(), Integer), number, *summed)
    labeled = call_labels.join(each, each.c.id == call_labels.c.call_id)
    by_label = select(each.c.day, cast(null(), Text), call_labels.c.label_id, number, *summed).select_from(
        labeled
    )
    query = union_all(
        by_agent.group_by(each.c.day, each.c.agent), by_label.group_by(each.c.day, call_labels.c.label_id)
    )
    return [
        Sums(day, name, label, *map(int, sums[:-2]), *map(float, sums[-2:]))
        for day, name, label, *sums in conn.execute(query)
    ]


_SUMMED = tuple(field.name for field in fields(Sums))[4:]
"""What is summed of each call, in the order of the fields."""


def _numbered(days: Sequence[tuple[datetime, datetime]]) -> CTE:
    """A row for each day, with its place in the list."""
    columns = Column("day", Integer), Column("since", UTCDateTime), Column("until", UTCDateTime)
    return values(*columns, name="days").data([(n, *bounds) for n, bounds in enumerate(days)]).cte("days")


def _each_call(
    conn: Connection, days: Sequence[tuple[datetime, datetime]], agent: str | None, currency: str
) -> Select[Any]:
    """One row for each call, with its day and what is summed. The rules of its cost are those of `review/costs.py`."""
    day = _numbered(days)
    within = and_(
        calls.c.created_at >= days[0][0],
        calls.c.created_at < days[-1][1],
        *([calls.c.agent == agent] if agent is not None else []),
    )
    client, number, main = (
        _leg(Role.AGENT, currency),
        _leg(Role.TECHNICIAN, currency),
        _main_recording(currency),
    )
    ended = calls.c.ended_at.is_not(None)
    by_carrier = and_(ended, calls.c.leg_sid.not_like(f"{FILE_PREFIX}%"))
    whole_ms = _ms_between(conn, calls.c.created_at, calls.c.ended_at)
    talk_ms = func.coalesce(_ms_between(conn, calls.c.answered_at, calls.c.ended_at), 0)

    def minutes(of: _Charged, otherwise_ms: ColumnElement[Any]) -> ColumnElement[Any]:
        length_ms = func.coalesce(1000 * of.row.c.duration_s, otherwise_ms)
        return case((and_(by_carrier, of.price.is_(None)), _started(length_ms)), else_=0)

    def known(column: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.coalesce(column, 0)

    measured = measures.c.call_id.is_not(None)
    columns = {
        "day": day.c.day,
        "agent": calls.c.agent,
        "id": calls.c.id,
        **{verdict.value: case((calls.c.verdict == verdict, 1), else_=0) for verdict in Verdict},
        "duration_ms": known(
            _ms_between(conn, func.coalesce(calls.c.answered_at, calls.c.created_at, type_=UTCDateTime), calls.c.ended_at)
        ),
        "measured": case((measured, 1), else_=0),
        "agent_talk_ms": case((measured, measures.c.agent_talk_ms), else_=_spoken_ms(Role.AGENT)),
        "technician_talk_ms": case((measured, measures.c.technician_talk_ms), else_=_spoken_ms(Role.TECHNICIAN)),
        **{
            name: known(measures.c[name])
            for name in ("silence_ms", "overlap_ms", "interruptions", "agent_interruptions")
        },
        "storage_bytes": _stored_bytes(),
        "carrier_minutes": _carrier_minutes(),
        "client_minutes": minutes(client, whole_ms),
        "number_minutes": minutes(number, talk_ms),
        "stream_minutes": case((by_carrier, _stream_minutes(conn)), else_=0),
        "recording_minutes": minutes(main, literal(0)),
        "charged": case(
            (by_carrier, known(client.price) + known(number.price) + known(main.price)), else_=0.0
        ),
        "transcribed": case((ended, _transcribed()), else_=0.0),
    }  # fmt: skip
    tables = day.join(calls, and_(calls.c.created_at >= day.c.since, calls.c.created_at < day.c.until))
    tables = tables.outerjoin(measures, measures.c.call_id == calls.c.id)
    for part in (client, number, main):
        tables = tables.outerjoin(part.row, part.row.c.sid == part.of_call)
    return select(*(column.label(name) for name, column in columns.items())).select_from(tables).where(within)


@dataclass(frozen=True, slots=True)
class _Charged:
    """A leg or recording of a call, by its SID `of_call`, and the carrier's price, if it is in the currency of the estimates."""

    row: FromClause
    of_call: ScalarSelect[Any]
    price: ColumnElement[Any]


def _charged(name: str, table: Table, currency: str, query: Select[Any]) -> _Charged:
    row = table.alias(name)
    price = case((row.c.price_currency == currency, row.c.price))
    return _Charged(row, query.where(table.c.call_id == calls.c.id).scalar_subquery(), price)


def _leg(role: Role, currency: str) -> _Charged:
    """Of several legs of a role the one with the highest SID."""
    return _charged(
        f"{role.value}_leg", legs, currency, select(func.max(legs.c.sid)).where(legs.c.role == role)
    )


def _main_recording(currency: str) -> _Charged:
    """The recording that the bill of a call has: the one in the best state, then the longest."""
    best = case(
        {state: place for place, state in enumerate(BEST_FIRST)},
        value=recordings.c.state,
        else_=len(BEST_FIRST),
    )
    query = select(recordings.c.sid).limit(1).order_by(
        best, func.coalesce(recordings.c.duration_s, 0).desc(), func.coalesce(recordings.c.channels, 0).desc(), recordings.c.sid,
    )  # fmt: skip
    return _charged("main_recording", recordings, currency, query)


def _sum_of_call(table: Table, summed: ColumnElement[Any], *where: ColumnElement[bool]) -> ColumnElement[Any]:
    """The sum over the rows of a call; 0 without any."""
    query = select(func.sum(summed)).where(table.c.call_id == calls.c.id, *where)
    return func.coalesce(query.scalar_subquery(), 0)


def _stream_minutes(conn: Connection) -> ColumnElement[Any]:
    end = func.coalesce(streams.c.stopped_at, calls.c.ended_at, type_=UTCDateTime)
    return _sum_of_call(streams, _started(_ms_between(conn, streams.c.started_at, end)))


def _carrier_minutes() -> ColumnElement[Any]:
    """Started minutes of the recordings that the carrier has."""
    return _sum_of_call(
        recordings,
        _started(1000 * recordings.c.duration_s),
        recordings.c.state.in_(AT_CARRIER),
        recordings.c.sid.not_like(f"{FILE_PREFIX}%"),
    )


def _stored_bytes() -> ColumnElement[Any]:
    """Bytes of the layers in our storage."""
    return _sum_of_call(layers, func.coalesce(layers.c.stored_bytes, layers.c.size_bytes))


def _spoken_ms(role: Role) -> ColumnElement[Any]:
    """Milliseconds of the displayed turns of a role."""
    return _sum_of_call(turn_index, turn_index.c.end_ms - turn_index.c.start_ms, turn_index.c.role == role)


def _transcribed() -> ColumnElement[Any]:
    """What engines charged: by engine and price each started minute of the call's audio together."""
    price = transcripts.c.price_per_minute
    lines = (
        select((_started(func.sum(transcripts.c.audio_ms)) * price).label("cost"))
        .where(transcripts.c.call_id == calls.c.id, price > 0)
        .group_by(transcripts.c.engine, price)
        .correlate(calls)
        .subquery()
    )
    return func.coalesce(select(func.sum(lines.c.cost)).scalar_subquery(), 0)


def _ms_between(conn: Connection, start: ColumnElement[Any], end: ColumnElement[Any]) -> ColumnElement[Any]:
    """Milliseconds from one time to another, never below 0; NULL or 0 if either is NULL."""
    return at_least_zero(conn, cast(func.round(1000 * seconds_between(conn, start, end)), BigInteger))


def _started(length_ms: ColumnElement[Any]) -> ColumnElement[Any]:
    """Whole minutes, of which each started one counts."""
    return (cast(length_ms, BigInteger) + 59_999) // 60_000


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
