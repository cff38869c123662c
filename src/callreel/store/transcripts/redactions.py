"""Redactions of calls as rows: what is masked in text and silenced in audio, found automatically or chosen by a person.

Positions are on the call's clock. A row stays when a person removes the redaction, with who did and when, so that the next
search does not add it again.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from callreel.domain.call import Role
from callreel.domain.ids import CallId
from callreel.domain.redaction import Entity, Stretch
from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import redactions


@dataclass(frozen=True, slots=True)
class RedactionRow:
    """`by` is the person who chose it, empty for one that was found automatically. `removed_at` None: in force."""

    id: int
    call_id: CallId
    role: Role
    entity: Entity
    start_ms: int
    end_ms: int
    by: str
    at: datetime
    removed_by: str | None = None
    removed_at: datetime | None = None

    @property
    def stretch(self) -> Stretch:
        return Stretch(self.role, self.entity, self.start_ms, self.end_ms)


def of_call(conn: Connection, call_id: CallId) -> list[RedactionRow]:
    """All of a call, also removed ones, in the order of time."""
    query = select(redactions).where(redactions.c.call_id == call_id)
    return fetch_all(conn, RedactionRow, query.order_by(redactions.c.start_ms, redactions.c.id))


def in_force(conn: Connection, call_id: CallId) -> list[Stretch]:
    """What is masked."""
    return [row.stretch for row in of_call(conn, call_id) if row.removed_at is None]


def add_found(conn: Connection, call_id: CallId, found: Iterable[Stretch], at: datetime) -> int:
    """Save what was found automatically and is new; returns how many these are."""
    new = new_among(conn, call_id, found)
    for one in new:
        add(conn, call_id, one, "", at)
    return len(new)


def new_among(conn: Connection, call_id: CallId, found: Iterable[Stretch]) -> list[Stretch]:
    """What was found, except what a row of the call or a longer stretch covers already."""
    known = [row.stretch for row in of_call(conn, call_id)]
    new: list[Stretch] = []
    for one in sorted(found, key=lambda stretch: stretch.start_ms - stretch.end_ms):
        if not any(_covers(other, one) for other in (*known, *new)):
            new.append(one)
    return new


def add(conn: Connection, call_id: CallId, stretch: Stretch, by: str, at: datetime) -> RedactionRow:
    """Save one redaction."""
    new = insert(redactions).values(call_id=call_id, **asdict(stretch), by=by, at=at)
    return fetch_all(conn, RedactionRow, new.returning(redactions))[0]


def remove(conn: Connection, row: RedactionRow, by: str, at: datetime) -> None:
    """End a redaction, and those that it covers."""
    same = [
        other.id
        for other in of_call(conn, row.call_id)
        if other.removed_at is None and (other.id == row.id or _covers(row.stretch, other.stretch))
    ]
    conn.execute(update(redactions).where(redactions.c.id.in_(same)).values(removed_by=by, removed_at=at))


def _covers(known: Stretch, one: Stretch) -> bool:
    """Whether nearly all of `one` lies in `known`."""
    return known.role is one.role and known.overlap_ms(one) * 10 >= (one.end_ms - one.start_ms) * 9
