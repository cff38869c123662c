"""The phone book: technicians by name, and the most recent numbers."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from callreel.domain.errors import StoreError
from callreel.store.db.rows import fetch_all, fetch_one
from callreel.store.db.tables import calls, technicians
from callreel.store.db.types import among


class TakenError(StoreError):
    """The number has another name."""


@dataclass(frozen=True, slots=True)
class TechnicianRow:
    """A name for a number in E.164; a number has one name."""

    id: int
    name: str
    number: str = field(repr=False)
    created_at: datetime


def add(conn: Connection, name: str, number: str, at: datetime) -> TechnicianRow:
    """Raises TakenError if the number has a name."""
    _refuse_taken(conn, number, None)
    new = insert(technicians).values(name=name, number=number, created_at=at).returning(technicians)
    return fetch_all(conn, TechnicianRow, new)[0]


def change(
    conn: Connection, technician_id: int, *, name: str | None = None, number: str | None = None
) -> TechnicianRow | None:
    """Change what is given; None if the id is unknown. Raises TakenError if another technician has the number."""
    if number is not None:
        _refuse_taken(conn, number, technician_id)
    given = {key: value for key, value in (("name", name), ("number", number)) if value is not None}
    if given:
        conn.execute(update(technicians).where(technicians.c.id == technician_id).values(**given))
    return fetch_one(conn, TechnicianRow, select(technicians).where(technicians.c.id == technician_id))


def remove(conn: Connection, technician_id: int) -> bool:
    """Delete a technician; False if the id is unknown."""
    return conn.execute(delete(technicians).where(technicians.c.id == technician_id)).rowcount == 1


def count(conn: Connection) -> int:
    """How many there are."""
    return conn.scalar(select(func.count()).select_from(technicians)) or 0


def all_technicians(conn: Connection) -> list[TechnicianRow]:
    """By name."""
    return sorted(fetch_all(conn, TechnicianRow, select(technicians)), key=lambda row: (row.name, row.id))


def names_of(conn: Connection, numbers: Collection[str]) -> dict[str, str]:
    """The names of those of `numbers` that have one."""
    query = select(technicians.c.number, technicians.c.name).where(among(conn, technicians.c.number, numbers))
    return {number: name for number, name in conn.execute(query)}


def recent_numbers(conn: Connection, agent: str | None, limit: int) -> list[tuple[str, datetime]]:
    """Numbers of the newest calls (of one agent's identity, or of all), each once, newest first."""
    last_at = func.max(calls.c.created_at).label("last_at")
    query = select(calls.c.remote_number, last_at)
    if agent is not None:
        query = query.where(calls.c.agent == agent)
    # Numbers may be encrypted, so what is none (such as `anonymous`) is left out here; there are few of these.
    query = query.group_by(calls.c.remote_number).order_by(last_at.desc()).limit(2 * limit + 50)
    found: dict[str, datetime] = {}
    for number, at in conn.execute(query):
        if number.startswith("+"):
            found.setdefault(number, at)
    return list(found.items())[:limit]


def _refuse_taken(conn: Connection, number: str, but: int | None) -> None:
    found = conn.execute(select(technicians.c.id).where(among(conn, technicians.c.number, [number]))).scalar()
    if found is not None and found != but:
        raise TakenError("this number has a name already")
