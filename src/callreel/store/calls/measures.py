"""The measures of calls as rows, with the displayed roles: one document, and columns for lists and sums."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from callreel.domain.call import CallState
from callreel.domain.ids import CallId
from callreel.domain.measures import DEFINITIONS, CallMeasures
from callreel.store.db.dialect import insert
from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import calls, measures


@dataclass(frozen=True, slots=True)
class MeasuresHead:
    """What lists and sums need of a call's measures. `agent_ratio` is None where neither party spoke."""

    call_id: CallId
    duration_ms: int
    ringing_ms: int | None
    paused_ms: int
    agent_talk_ms: int
    technician_talk_ms: int
    agent_ratio: float | None
    longest_turn_ms: int
    silences: int
    silence_ms: int
    overlap_ms: int
    agent_interruptions: int
    interruptions: int


HEAD = [measures.c[field.name] for field in fields(MeasuresHead)]


def put(conn: Connection, call_id: CallId, created_at: datetime, measured: CallMeasures) -> None:
    """Save the measures of a call that began at `created_at`, in place of earlier ones."""
    values = {"created_at": created_at, **values_of(measured)}
    new = insert(conn.dialect.name, measures).values(call_id=call_id, **values)
    conn.execute(new.on_conflict_do_update(index_elements=[measures.c.call_id], set_=values))


def of_call(conn: Connection, call_id: CallId) -> CallMeasures | None:
    """None until the call is measured."""
    query = select(measures.c.document).where(measures.c.call_id == call_id)
    found: CallMeasures | None = conn.execute(query).scalar()
    return found


def heads(conn: Connection, call_ids: Collection[CallId]) -> Mapping[CallId, MeasuresHead]:
    """Of those of these calls that are measured."""
    query = select(*HEAD).where(measures.c.call_id.in_(call_ids))
    return {row.call_id: row for row in fetch_all(conn, MeasuresHead, query)}


def swap_roles(conn: Connection, call_id: CallId) -> None:
    """Exchange agent and technician."""
    measured = of_call(conn, call_id)
    if measured is not None:
        changed = update(measures).where(measures.c.call_id == call_id)
        conn.execute(changed.values(**values_of(measured.swapped)))


def unmeasured(conn: Connection, *, again: bool = False) -> list[CallId]:
    """Closed calls without measures, or with those of earlier definitions; with `again` all. Oldest first."""
    query = (
        select(calls.c.id)
        .outerjoin(measures, measures.c.call_id == calls.c.id)
        .where(calls.c.state == CallState.CLOSED)
    )
    if not again:
        query = query.where(measures.c.definitions.is_(None) | (measures.c.definitions < DEFINITIONS))
    return [CallId(found) for found in conn.execute(query.order_by(calls.c.created_at, calls.c.id)).scalars()]


def values_of(measured: CallMeasures) -> dict[str, Any]:
    """The columns of a call's measures, besides those of its call."""
    agent, technician = measured.agent, measured.technician
    return {
        "definitions": DEFINITIONS,
        "duration_ms": measured.end_ms - measured.start_ms,
        "ringing_ms": measured.ringing_ms,
        "paused_ms": measured.paused_ms,
        "agent_talk_ms": agent.talk_ms,
        "technician_talk_ms": technician.talk_ms,
        "agent_ratio": agent.talk_ratio,
        "longest_turn_ms": measured.longest_turn_ms,
        "silences": len(measured.silences),
        "silence_ms": measured.silence_ms,
        "overlap_ms": measured.overlap_ms,
        "agent_interruptions": agent.interruptions,
        "interruptions": len(measured.interruptions),
        "document": measured,
    }
