"""Legs as rows: what the carrier reported about each party's connection."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import date, datetime

from sqlalchemy import Connection, select, update

from callreel.domain.call import Role
from callreel.domain.ids import CallId, LegSid
from callreel.store.db.dialect import insert_new
from callreel.store.db.rows import fetch_all
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
    price: float | None = None
    """What the carrier charged, in `price_currency`; None until it has rated the leg."""
    price_currency: str | None = None


def upsert(conn: Connection, row: LegRow) -> LegRow:
    """Save what was reported about a leg, and return the merged row.

    Callbacks arrive in any order: a known time stays, and the status of an earlier phase (no end, no answer) does not
    replace that of a later one.
    """
    if insert_new(conn, legs, asdict(row)):
        return row
    (known,) = fetch_all(conn, LegRow, select(legs).where(legs.c.sid == row.sid).with_for_update())
    merged = _merge(known, row)
    conn.execute(update(legs).where(legs.c.sid == row.sid).values(**asdict(merged)))
    return merged


def of_call(conn: Connection, call_id: CallId) -> list[LegRow]:
    """The parent leg first."""
    query = select(legs).where(legs.c.call_id == call_id).order_by(legs.c.parent_sid.is_not(None), legs.c.sid)
    return fetch_all(conn, LegRow, query)


def unpriced(conn: Connection, since: datetime) -> dict[LegSid, date]:
    """The legs that ended since then and have no price, with the day (UTC) on which each began."""
    query = select(legs.c.sid, legs.c.started_at).where(
        legs.c.ended_at >= since, legs.c.started_at.is_not(None), legs.c.price.is_(None)
    )
    return {LegSid(sid): started_at.date() for sid, started_at in conn.execute(query)}


def set_price(conn: Connection, sid: LegSid, price: float, currency: str) -> None:
    """Save what the carrier charged."""
    priced = update(legs).where(legs.c.sid == sid, legs.c.price.is_(None))
    conn.execute(priced.values(price=price, price_currency=currency))


def parents_over(conn: Connection, of_calls: Collection[CallId]) -> list[CallId]:
    """Which of these calls have a parent leg that ended."""
    over = legs.c.parent_sid.is_(None) & legs.c.ended_at.is_not(None)
    return list(conn.execute(select(legs.c.call_id).where(legs.c.call_id.in_(of_calls), over)).scalars())


def _merge(known: LegRow, report: LegRow) -> LegRow:
    return LegRow(
        sid=known.sid,
        call_id=known.call_id,
        role=known.role,
        status=report.status if _progress(report) >= _progress(known) else known.status,
        parent_sid=known.parent_sid or report.parent_sid,
        started_at=known.started_at or report.started_at,
        ended_at=known.ended_at or report.ended_at,
        duration_s=report.duration_s if known.duration_s is None else known.duration_s,
        price=report.price if known.price is None else known.price,
        price_currency=known.price_currency or report.price_currency,
    )


def _progress(row: LegRow) -> int:
    if row.ended_at is not None:
        return 2
    return 1 if row.started_at is not None else 0
