"""Legs as rows: what the carrier said of each party's connection."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from callreel.domain.call import Role
from callreel.domain.ids import CallId, LegSid
from callreel.store.db.dialect import insert_new
from callreel.store.db.tables import legs


@dataclass(frozen=True, slots=True)
class LegRow:
    """A leg. `status` is the carrier's own word; `started_at` is the answer; `parent_sid` is None for the parent."""

    sid: LegSid
    call_id: CallId
    role: Role
    status: str
    parent_sid: LegSid | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: int | None = None


def upsert(conn: Connection, row: LegRow) -> LegRow:
    """Keep what was told of a leg, and return what is known now.

    Callbacks come in any order: times once known stay, and the status of a row that knows less (no end, no answer)
    does not replace that of one that knows more.
    """
    if insert_new(conn, legs, asdict(row)):
        return row
    found = conn.execute(select(legs).where(legs.c.sid == row.sid).with_for_update()).one()
    merged = _merge(LegRow(**found._asdict()), row)
    conn.execute(update(legs).where(legs.c.sid == row.sid).values(**asdict(merged)))
    return merged


def get(conn: Connection, sid: LegSid) -> LegRow | None:
    found = conn.execute(select(legs).where(legs.c.sid == sid)).first()
    return None if found is None else LegRow(**found._asdict())


def of_call(conn: Connection, call_id: CallId) -> list[LegRow]:
    """The parent leg first."""
    query = select(legs).where(legs.c.call_id == call_id).order_by(legs.c.parent_sid.is_not(None), legs.c.sid)
    return [LegRow(**found._asdict()) for found in conn.execute(query)]


def parents_over(conn: Connection, of_calls: Collection[CallId]) -> list[CallId]:
    """Those of these calls whose parent leg has ended."""
    over = legs.c.parent_sid.is_(None) & legs.c.ended_at.is_not(None)
    return list(conn.execute(select(legs.c.call_id).where(legs.c.call_id.in_(of_calls), over)).scalars())


def _merge(known: LegRow, told: LegRow) -> LegRow:
    return LegRow(
        sid=known.sid,
        call_id=known.call_id,
        role=known.role,
        status=told.status if _progress(told) >= _progress(known) else known.status,
        parent_sid=known.parent_sid or told.parent_sid,
        started_at=known.started_at or told.started_at,
        ended_at=known.ended_at or told.ended_at,
        duration_s=told.duration_s if known.duration_s is None else known.duration_s,
    )


def _progress(row: LegRow) -> int:
    if row.ended_at is not None:
        return 2
    return 1 if row.started_at is not None else 0
