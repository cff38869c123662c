"""Facts: observations without a separate table, such as unknown carrier events and protocol violations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, insert, select

from callreel.domain.events import Json
from callreel.domain.ids import CallId, LegSid
from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import facts


@dataclass(frozen=True, slots=True)
class FactRow:
    """`call_id` is None when the fact belongs to no known call."""

    id: int
    call_id: CallId | None
    leg_sid: LegSid | None
    at: datetime
    kind: str
    data: dict[str, Json] = field(repr=False)


def note(
    conn: Connection,
    kind: str,
    data: Mapping[str, Json],
    at: datetime,
    call_id: CallId | None = None,
    leg_sid: LegSid | None = None,
) -> None:
    conn.execute(insert(facts).values(kind=kind, data=dict(data), at=at, call_id=call_id, leg_sid=leg_sid))


def of_kind(conn: Connection, kind: str) -> list[FactRow]:
    """Facts that belong to no call, in the order in which they were saved."""
    query = select(facts).where(facts.c.kind == kind, facts.c.call_id.is_(None))
    return fetch_all(conn, FactRow, query.order_by(facts.c.id))


def of_call(conn: Connection, call_id: CallId) -> list[FactRow]:
    """In the order in which they were saved."""
    query = select(facts).where(facts.c.call_id == call_id).order_by(facts.c.id)
    return fetch_all(conn, FactRow, query)
