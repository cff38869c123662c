"""Technicians by name, so that they can be called without typing, and the numbers that were called last."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from callreel.domain.errors import StoreError
from callreel.store.db.tables import calls, technicians


class TakenError(StoreError):
    """The number has a name already."""


@dataclass(frozen=True, slots=True)
class TechnicianRow:
    """A name for a number in E.164; a number has one name."""

    id: int
    name: str
    number: str = field(repr=False)
    created_at: datetime


def add(conn: Connection, name: str, number: str, at: datetime) -> TechnicianRow:
    """Raises TakenError if the number has a name already."""
    _refuse_taken(conn, number, None)
    new = insert(technicians).values(name=name, number=number, created_at=at).returning(technicians)
    return TechnicianRow(**conn.execute(new).one()._asdict())


def change(
    conn: Connection, technician_id: int, *, name: str | None = None, number: str | None = None
) -> TechnicianRow | None:
    """Change what is given; None if there is nobody of this id. Raises TakenError if the number is another's."""
    if number is not None:
        _refuse_taken(conn, number, technician_id)
    given = {key: value for key, value in (("name", name), ("number", number)) if value is not None}
    if given:
        conn.execute(update(technicians).where(technicians.c.id == technician_id).values(**given))
    found = conn.execute(select(technicians).where(technicians.c.id == technician_id)).first()
    return None if found is None else TechnicianRow(**found._asdict())


def remove(conn: Connection, technician_id: int) -> bool:
    """Whether there was one."""
    return conn.execute(delete(technicians).where(technicians.c.id == technician_id)).rowcount == 1


def all_technicians(conn: Connection) -> list[TechnicianRow]:
    """By name."""
    query = select(technicians).order_by(technicians.c.name, technicians.c.id)
    return [TechnicianRow(**found._asdict()) for found in conn.execute(query)]


def names_of(conn: Connection, numbers: Collection[str]) -> dict[str, str]:
    """The names of those of `numbers` that have one."""
    query = select(technicians.c.number, technicians.c.name).where(technicians.c.number.in_(numbers))
    return {number: name for number, name in conn.execute(query)}


def recent_numbers(conn: Connection, agent: str | None, limit: int) -> list[tuple[str, datetime]]:
    """Numbers on the other end of the newest calls (of one agent's identity, or of all), each once, newest first."""
    last_at = func.max(calls.c.created_at).label("last_at")
    query = select(calls.c.remote_number, last_at).where(calls.c.remote_number.startswith("+"))
    if agent is not None:
        query = query.where(calls.c.agent == agent)
    query = query.group_by(calls.c.remote_number).order_by(last_at.desc()).limit(limit)
    return [(number, at) for number, at in conn.execute(query)]


def _refuse_taken(conn: Connection, number: str, but: int | None) -> None:
    found = conn.execute(select(technicians.c.id).where(technicians.c.number == number)).scalar()
    if found is not None and found != but:
        raise TakenError("this number has a name already")
