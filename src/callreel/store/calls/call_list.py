"""The list of calls: newest first, filtered by what is known of a call and by what was said on it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select

from callreel.domain.call import CallState
from callreel.domain.verdict import Verdict
from callreel.store.calls.calls import CallRow
from callreel.store.calls.calls import row as call_row
from callreel.store.calls.holds import open_holds
from callreel.store.db.dialect import seconds_between
from callreel.store.db.tables import calls, notes, technicians
from callreel.store.transcripts import search
from callreel.store.transcripts.search_query import Query


@dataclass(frozen=True, slots=True)
class CallFilter:
    """What calls must be; None and empty ask for nothing.

    `since` is included, `until` is not. `agent` is an identity; `number` digits within the other party's number,
    `number_name` a part of the name that the number has.
    `judged` False asks for calls without a verdict. Lengths count from the answer, or from the beginning without one;
    a call that goes on has none. `own` is the identity of an agent who sees no others' calls.
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


def page(conn: Connection, wanted: CallFilter, limit: int, before: datetime | None = None) -> list[CallRow]:
    """Up to `limit` calls, newest first; `before` is the `created_at` of the last one already seen."""
    query = select(calls).where(*_conditions(conn, wanted))
    if before is not None:
        query = query.where(calls.c.created_at < before)
    query = query.order_by(calls.c.created_at.desc(), calls.c.id.desc()).limit(limit)
    return [call_row(found) for found in conn.execute(query)]


def _conditions(conn: Connection, wanted: CallFilter) -> list[ColumnElement[bool]]:
    asked: list[ColumnElement[bool]] = [*search.condition(conn, wanted.query)]
    if wanted.since is not None:
        asked.append(calls.c.created_at >= wanted.since)
    if wanted.until is not None:
        asked.append(calls.c.created_at < wanted.until)
    asked += [calls.c.agent == agent for agent in (wanted.agent, wanted.own) if agent is not None]
    if wanted.number:
        asked.append(calls.c.remote_number.contains(wanted.number, autoescape=True))
    if wanted.number_name:
        of_name = technicians.c.name.icontains(wanted.number_name, autoescape=True)
        asked.append(calls.c.remote_number.in_(select(technicians.c.number).where(of_name)))
    if wanted.state is not None:
        asked.append(calls.c.state == wanted.state)
    if wanted.verdict is not None:
        asked.append(calls.c.verdict == wanted.verdict)
    if wanted.judged is not None:
        asked.append(calls.c.verdict.is_not(None) if wanted.judged else calls.c.verdict.is_(None))
    if wanted.noted:
        asked.append(calls.c.id.in_(select(notes.c.call_id)))
    if wanted.held:
        asked.append(calls.c.id.in_(open_holds()))
    length_s = seconds_between(conn, func.coalesce(calls.c.answered_at, calls.c.created_at), calls.c.ended_at)
    if wanted.min_s is not None:
        asked.append(length_s >= wanted.min_s)
    if wanted.max_s is not None:
        asked.append(length_s <= wanted.max_s)
    return asked
