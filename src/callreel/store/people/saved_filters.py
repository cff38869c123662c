"""Filters of the list of calls that people saved under a name, as rows. They may hold numbers and search words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qs

from sqlalchemy import Connection, delete, insert, select

from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import saved_filters
from callreel.store.transcripts.search_filters import FilterKey, split_filters

_FEWEST_DIGITS = 7
"""A shorter number in a filter is a prefix or an extension, not a person's."""


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


def with_number(conn: Connection, digits: str) -> list[SavedFilterRow]:
    """Everyone's filters that hold a phone number, given by its digits with the country code; the oldest first."""
    every = fetch_all(conn, SavedFilterRow, select(saved_filters).order_by(saved_filters.c.id))
    return [row for row in every if _has_number(row, digits)]


def remove_all(conn: Connection, rows: Sequence[SavedFilterRow]) -> None:
    conn.execute(delete(saved_filters).where(saved_filters.c.id.in_([row.id for row in rows])))


def _has_number(row: SavedFilterRow, digits: str) -> bool:
    """As the filter `number`, also without its country code and typed into the search, or whole among the words or in the name."""
    given = parse_qs(row.query)
    typed = [value for text in given.get("q", ()) for value in split_filters(text).values(FilterKey.NUMBER)]
    for filtered in (_digits(value).lstrip("0") for value in (*given.get("number", ()), *typed)):
        if len(filtered) >= _FEWEST_DIGITS and digits.endswith(filtered):
            return True
    return digits in _digits(*given.get("q", ())) or digits in _digits(row.name)


def _digits(*texts: str) -> str:
    return re.sub(r"\D", "", " ".join(texts))
