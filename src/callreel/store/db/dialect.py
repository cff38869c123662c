"""Where the two databases differ in SQL: the one switch. Everything else in this room is SQL that both know."""

import functools
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Float, Table, extract, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert


def insert(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An insert that knows `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def insert_new(conn: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert one row unless it collides with a known one; whether it was new."""
    return conn.execute(_new_row(conn.dialect.name, table), dict(values)).first() is not None


@functools.cache
def _new_row(dialect: str, table: Table) -> ReturningInsert[Any]:
    """Made once: building it costs as much as running it."""
    return insert(dialect, table).on_conflict_do_nothing().returning(*table.primary_key)


def advisory_lock(conn: Connection, key: int) -> None:
    """Hold every other transaction that asks for the same `key` until this one is over.

    SQLite has one writer at a time and needs nothing.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(select(func.pg_advisory_xact_lock(key)))


def seconds_between(
    conn: Connection, start: ColumnElement[Any], end: ColumnElement[Any]
) -> ColumnElement[float]:
    """Seconds from one time to another, NULL if one of them is; SQLite keeps times as text and knows days."""
    if conn.dialect.name == "postgresql":
        return extract("epoch", end - start).cast(Float)
    # In doubles a day has about 40 us; a millisecond is what is meant.
    return func.round((func.julianday(end) - func.julianday(start)) * 86_400.0, 3)
