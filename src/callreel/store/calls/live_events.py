"""Persistent live events as rows, so that a listener who reconnects gets the events after the last one it saw."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from callreel.domain.call import CallState
from callreel.domain.events import LASTING, EventKind, Json, LiveEvent, swap_roles
from callreel.domain.ids import CallId
from callreel.store.db.dialect import advisory_lock
from callreel.store.db.tables import calls, live_events

_ORDER_LOCK = 0x0CA11_E7E7
_NEW = insert(live_events).returning(live_events.c.id, sort_by_parameter_order=True)


def append(conn: Connection, event: LiveEvent, at: datetime) -> LiveEvent:
    """Save a persistent event and return it with its id. Raises ValueError for a transient one."""
    return append_all(conn, [event], at)[0]


def append_all(conn: Connection, events: Sequence[LiveEvent], at: datetime) -> list[LiveEvent]:
    """Save persistent events in this order and return them with their ids. Raises ValueError if one is transient.

    Ids become visible in order: on PostgreSQL a transaction that appends blocks the next one until it ends, or else a
    listener that has seen id 8 would never get 7, committed later. So append last in a transaction.
    """
    for event in events:
        if event.kind not in LASTING:
            raise ValueError(f"a {event.kind} event is transient and has no row")
    if not events:
        return []
    advisory_lock(conn, _ORDER_LOCK)
    rows = [{"call_id": event.call_id, "kind": event.kind, "data": event.data, "at": at} for event in events]
    ids = conn.execute(_NEW, rows).scalars()
    return [replace(event, id=new) for event, new in zip(events, ids, strict=True)]


def after(
    conn: Connection, call_id: CallId | None, last_id: int, limit: int, agent: str | None = None
) -> list[LiveEvent]:
    """Up to `limit` events with an id above `last_id`, in order; of all calls when `call_id` is None.

    `agent` selects the calls of one identity. Roles are the displayed ones. The text of an ended call is empty, and
    `withheld`, until it is redacted.
    """
    flags = (calls.c.roles_swapped, calls.c.redaction_awaited, calls.c.state)
    query = select(live_events, *flags).join(calls, calls.c.id == live_events.c.call_id)
    query = query.where(live_events.c.id > last_id).order_by(live_events.c.id).limit(limit)
    if call_id is not None:
        query = query.where(live_events.c.call_id == call_id)
    if agent is not None:
        query = query.where(calls.c.agent == agent)
    return [_event(row) for row in conn.execute(query)]


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A persistent event with the time at which it was saved; roles are the recorded ones."""

    kind: EventKind
    data: dict[str, Json]
    at: datetime


def of_kinds(conn: Connection, call_id: CallId, kinds: Collection[EventKind]) -> list[StoredEvent]:
    """The stored events of a call that are of these kinds, in order."""
    query = select(live_events.c.kind, live_events.c.data, live_events.c.at)
    query = query.where(live_events.c.call_id == call_id, live_events.c.kind.in_(kinds))
    return [StoredEvent(*row) for row in conn.execute(query.order_by(live_events.c.id))]


def last_id(conn: Connection) -> int:
    """The newest persistent event's id, 0 before the first: where a listener starts that has read the rows."""
    newest: int = conn.execute(select(func.coalesce(func.max(live_events.c.id), 0))).scalar_one()
    return newest


def _event(row: Row[Any]) -> LiveEvent:
    data = swap_roles(row.data) if row.roles_swapped else row.data
    if row.kind is EventKind.FINAL and row.redaction_awaited and row.state is not CallState.LIVE:
        data = {**data, "text": "", "withheld": True}
    return LiveEvent(row.call_id, row.kind, data, row.id)
