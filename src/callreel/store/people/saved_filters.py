"""Filters of the list of calls that people saved under a name, as rows. They may hold numbers and search words."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import saved_filters


@dataclass(frozen=True, slots=True)
class SavedFilterRow:
    """`owner` is a person's name, `query` the list's query string without a question mark."""

    id: int
    owner: str
    name: str = field(repr=False)
    query: str = field(repr=False)
    at: datetime


def put(conn: Connection, owner: str, name: str, query: str, at: datetime) -> SavedFilterRow:
    """Save a filter; it replaces the person's filter of this name."""
    for row in of_person(conn, owner):
        if row.name == name:
            remove(conn, owner, row.id)
    new = insert(saved_filters).values(owner=owner, name=name, query=query, at=at).returning(saved_filters)
    return fetch_all(conn, SavedFilterRow, new)[0]


def remove(conn: Connection, owner: str, filter_id: int) -> bool:
    """False if the person has no such filter."""
    mine = saved_filters.c.id == filter_id, saved_filters.c.owner == owner
    return conn.execute(delete(saved_filters).where(*mine)).rowcount == 1


def of_person(conn: Connection, owner: str) -> list[SavedFilterRow]:
    """By name."""
    query = select(saved_filters).where(saved_filters.c.owner == owner)
    return sorted(fetch_all(conn, SavedFilterRow, query), key=lambda row: (row.name.casefold(), row.id))
