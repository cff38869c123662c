"""The list of calls: newest first or by a measure, filtered by a call's properties, measures and words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, and_, func, or_, select

from callreel.domain.call import CallState, Direction
from callreel.domain.ids import CallId
from callreel.domain.verdict import Verdict
from callreel.insight.moment_kind import MomentKind
from callreel.store.calls.calls import CallRow
from callreel.store.calls.holds import open_holds
from callreel.store.calls.labels import labeled
from callreel.store.calls.phrase_alerts import raised
from callreel.store.db.dialect import seconds_between
from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import call_labels, calls, measures, notes, technicians
from callreel.store.db.types import among, cipher_of, stored_among
from callreel.store.insight import topics
from callreel.store.transcripts import search
from callreel.store.transcripts.search_query import Query


class Sort(StrEnum):
    """The order of the list: newest first, or the greatest value of a measure first, the newest among equals."""

    NEWEST = "newest"
    DURATION = "duration"
    SILENCE = "silence"
    INTERRUPTIONS = "interruptions"
    MONOLOGUE = "monologue"
    AGENT_RATIO = "agent_ratio"


# Each has an index with `created_at` and `call_id`.
_SORTED_BY: Final[Mapping[Sort, Column[Any]]] = {
    Sort.DURATION: measures.c.duration_ms,
    Sort.SILENCE: measures.c.silence_ms,
    Sort.INTERRUPTIONS: measures.c.interruptions,
    Sort.MONOLOGUE: measures.c.longest_turn_ms,
    Sort.AGENT_RATIO: measures.c.agent_ratio,
}


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Conditions on calls; None and empty values do not filter.

    `since` is inclusive, `until` exclusive. `agent` is an identity; `number` matches digits within the other party's
    number, `number_name` a part of that number's name. `alert` selects calls with an alert of any phrase rule, `alert_rule` those of one. `assigned_to` is a person's name. `judged` False selects calls without a verdict. Durations count
    from the answer, or from the start without one; a live call has none. The last ones select measured calls. `own` is the identity of an agent who may see
    only their own calls.
    """

    query: Query = Query()
    since: datetime | None = None
    until: datetime | None = None
    agent: str | None = None
    number: str | None = None
    number_name: str | None = None
    state: CallState | None = None
    direction: Direction | None = None
    verdict: Verdict | None = None
    judged: bool | None = None
    min_s: float | None = None
    max_s: float | None = None
    noted: bool = False
    held: bool = False
    alert: bool = False
    alert_rule: int | None = None
    moment: MomentKind | None = None
    label: int | None = None
    reviewed: bool | None = None
    assigned_to: str | None = None
    unassigned: bool = False
    min_silence_s: float | None = None
    min_interruptions: int | None = None
    min_agent_ratio: float | None = None
    max_agent_ratio: float | None = None
    own: str | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the list: that of one call, or before all calls of an instant. As text `TIME`, `TIME~ID` or `TIME~ID~VALUE`.

    `value` is that of the measure by which the list is sorted.
    """

    created_at: datetime
    id: CallId = CallId("")
    value: float | None = None

    @classmethod
    def of(cls, row: CallRow) -> "Position":
        return cls(row.created_at, row.id)

    def __str__(self) -> str:
        place = f"{self.created_at.isoformat()}~{self.id}"
        return place if self.value is None else f"{place}~{self.value!r}"


def page(conn: Connection, wanted: CallFilter, limit: int, before: Position | None = None) -> list[CallRow]:
    """Up to `limit` calls, newest first; `before` is the position of the last one already seen."""
    if measure_limits(wanted):
        return [row for row, _ in _measured_page(conn, wanted, None, limit, before)]
    at, call_id = calls.c.created_at, calls.c.id
    query = select(calls).where(*conditions(conn, wanted))
    if wanted.label is not None:
        # An index has the calls of a label, newest first.
        at, call_id = call_labels.c.created_at, call_labels.c.call_id
        query = query.join(call_labels, call_id == calls.c.id).where(call_labels.c.label_id == wanted.label)
        query = query.where(*_began_within(wanted, at))
    if before is not None:
        # By the id too: several calls may begin in the same instant.
        same_instant = and_(at == before.created_at, call_id < before.id)
        # The first condition lets the index begin there.
        query = query.where(at <= before.created_at, or_(at < before.created_at, same_instant))
    return fetch_all(conn, CallRow, query.order_by(at.desc(), call_id.desc()).limit(limit))


def sorted_page(
    conn: Connection, wanted: CallFilter, sort: Sort, limit: int, before: Position | None = None
) -> list[tuple[CallRow, Position]]:
    """As `page` in any order, with each call's position. Sorted by a measure, calls without it are left out."""
    if (column := _SORTED_BY.get(sort)) is None:
        return [(row, Position.of(row)) for row in page(conn, wanted, limit, before)]
    return _measured_page(conn, wanted, column, limit, before)


def _measured_page(
    conn: Connection, wanted: CallFilter, column: Column[Any] | None, limit: int, before: Position | None
) -> list[tuple[CallRow, Position]]:
    """Measured calls by `column`, None for newest first.

    An index of each order has all columns of `measures` that are used here, so that rows are read of calls that match only.
    """
    at, call_id = measures.c.created_at, measures.c.call_id
    query = select(calls).join(measures, call_id == calls.c.id)
    query = query.where(*conditions(conn, wanted), *measure_limits(wanted), *_began_within(wanted, at))
    if wanted.label is not None:
        query = query.where(call_id.in_(labeled(wanted.label)))
    order = [at.desc(), call_id.desc()]
    if column is not None:
        query = query.add_columns(column.label("value")).where(column.is_not(None))
        order.insert(0, column.desc())
    if before is not None:
        later = or_(at < before.created_at, and_(at == before.created_at, call_id < before.id))
        if column is not None and before.value is not None:
            later = or_(column < before.value, and_(column == before.value, later))
            query = query.where(column <= before.value)
        query = query.where(later)
    found = []
    for row in conn.execute(query.order_by(*order).limit(limit)):
        values = dict(row._mapping)
        place = Position(row.created_at, row.id, values.pop("value", None))
        found.append((CallRow(**values), place))
    return found


def _has_digits(conn: Connection, digits: str) -> ColumnElement[bool]:
    if cipher_of(conn.dialect) is None:
        return calls.c.remote_number.contains(digits, autoescape=True)
    return stored_among(conn, calls.c.remote_number, lambda number: digits in number)


def conditions(conn: Connection, wanted: CallFilter) -> list[ColumnElement[bool]]:
    """All conditions on `calls`, without `label` and the measures, whose tables the list's queries are built on."""
    found = [*search.condition(conn, wanted.query), *_began_within(wanted, calls.c.created_at)]
    found += [calls.c.agent == agent for agent in (wanted.agent, wanted.own) if agent is not None]
    if wanted.number:
        found.append(_has_digits(conn, wanted.number))
    if wanted.number_name:
        part = wanted.number_name.casefold()
        named = conn.execute(select(technicians.c.number, technicians.c.name))
        numbers = [number for number, name in named if part in name.casefold()]
        found.append(among(conn, calls.c.remote_number, numbers))
    if wanted.state is not None:
        found.append(calls.c.state == wanted.state)
    if wanted.direction is not None:
        found.append(calls.c.direction == wanted.direction)
    if wanted.verdict is not None:
        found.append(calls.c.verdict == wanted.verdict)
    if wanted.judged is not None:
        found.append(calls.c.verdict.is_not(None) if wanted.judged else calls.c.verdict.is_(None))
    if wanted.noted:
        found.append(calls.c.id.in_(select(notes.c.call_id)))
    if wanted.moment is not None:
        found.append(topics.has_moment(wanted.moment))
    if wanted.reviewed is not None:
        found.append(calls.c.reviewed_at.is_not(None) if wanted.reviewed else calls.c.reviewed_at.is_(None))
    if wanted.assigned_to is not None:
        found.append(calls.c.assigned_to == wanted.assigned_to)
    if wanted.unassigned:
        found.append(calls.c.assigned_to.is_(None))
    if wanted.held:
        found.append(calls.c.id.in_(open_holds()))
    if wanted.alert or wanted.alert_rule is not None:
        found.append(calls.c.id.in_(raised(wanted.alert_rule)))
    length_s = seconds_between(conn, func.coalesce(calls.c.answered_at, calls.c.created_at), calls.c.ended_at)
    if wanted.min_s is not None:
        found.append(length_s >= wanted.min_s)
    if wanted.max_s is not None:
        found.append(length_s <= wanted.max_s)
    return found


def _began_within(wanted: CallFilter, at: Column[Any]) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        found.append(at >= wanted.since)
    if wanted.until is not None:
        found.append(at < wanted.until)
    return found


def measure_limits(wanted: CallFilter) -> list[ColumnElement[bool]]:
    """The conditions on `measures`."""
    found: list[ColumnElement[bool]] = []
    if wanted.min_silence_s is not None:
        found.append(measures.c.silence_ms >= round(wanted.min_silence_s * 1000))
    if wanted.min_interruptions is not None:
        found.append(measures.c.interruptions >= wanted.min_interruptions)
    if wanted.min_agent_ratio is not None:
        found.append(measures.c.agent_ratio >= wanted.min_agent_ratio)
    if wanted.max_agent_ratio is not None:
        found.append(measures.c.agent_ratio <= wanted.max_agent_ratio)
    return found
