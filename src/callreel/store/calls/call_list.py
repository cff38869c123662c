"""The list of calls: newest first, filtered by a call's properties and by its words."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from callreel.domain.call import CallState
from callreel.domain.ids import CallId
from callreel.domain.verdict import Verdict
from callreel.store.calls.calls import CallRow
from callreel.store.calls.holds import open_holds
from callreel.store.db.dialect import seconds_between
from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import calls, notes, technicians
from callreel.store.db.types import among, cipher_of, stored_among
from callreel.store.transcripts import search
from callreel.store.transcripts.search_query import Query


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Conditions on calls; None and empty values do not filter.

    `since` is inclusive, `until` exclusive. `agent` is an identity; `number` matches digits within the other party's
    number, `number_name` a part of that number's name. `judged` False selects calls without a verdict. Durations count
    from the answer, or from the start without one; a live call has none. `own` is the identity of an agent who may see
    only their own calls.
    """

    query: Query = Query()
    since: datetime | None = None
    until: datetime | None = None
    agent: str | None = None
    number: str | None = None
    number_name: str | None = None
    state: CallState | None = None
    verdict: Verdict | None = None
    judged: bool | None = None
    min_s: float | None = None
    max_s: float | None = None
    noted: bool = False
    held: bool = False
    own: str | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the list: that of one call, or before all calls of an instant. As text `TIME` or `TIME~ID`."""

    created_at: datetime
    id: CallId = CallId("")

    @classmethod
    def of(cls, row: CallRow) -> "Position":
        return cls(row.created_at, row.id)

    def __str__(self) -> str:
        return f"{self.created_at.isoformat()}~{self.id}"


def page(conn: Connection, wanted: CallFilter, limit: int, before: Position | None = None) -> list[CallRow]:
    """Up to `limit` calls, newest first; `before` is the position of the last one already seen."""
    query = select(calls).where(*_conditions(conn, wanted))
    if before is not None:
        # By the id too: several calls may begin in the same instant.
        same_instant = and_(calls.c.created_at == before.created_at, calls.c.id < before.id)
        query = query.where(or_(calls.c.created_at < before.created_at, same_instant))
    query = query.order_by(calls.c.created_at.desc(), calls.c.id.desc()).limit(limit)
    return fetch_all(conn, CallRow, query)


def _has_digits(conn: Connection, digits: str) -> ColumnElement[bool]:
    if cipher_of(conn.dialect) is None:
        return calls.c.remote_number.contains(digits, autoescape=True)
    return stored_among(conn, calls.c.remote_number, lambda number: digits in number)


def _conditions(conn: Connection, wanted: CallFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [*search.condition(conn, wanted.query)]
    if wanted.since is not None:
        found.append(calls.c.created_at >= wanted.since)
    if wanted.until is not None:
        found.append(calls.c.created_at < wanted.until)
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
    if wanted.verdict is not None:
        found.append(calls.c.verdict == wanted.verdict)
    if wanted.judged is not None:
        found.append(calls.c.verdict.is_not(None) if wanted.judged else calls.c.verdict.is_(None))
    if wanted.noted:
        found.append(calls.c.id.in_(select(notes.c.call_id)))
    if wanted.held:
        found.append(calls.c.id.in_(open_holds()))
    length_s = seconds_between(conn, func.coalesce(calls.c.answered_at, calls.c.created_at), calls.c.ended_at)
    if wanted.min_s is not None:
        found.append(length_s >= wanted.min_s)
    if wanted.max_s is not None:
        found.append(length_s <= wanted.max_s)
    return found
