"""SQL that differs between SQLite and PostgreSQL. All other SQL of this package runs on both."""

import functools
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Float, Table, extract, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert


def insert(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An insert that supports `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def insert_new(conn: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert a row; False, and nothing changes, if it conflicts with an existing one."""
    return conn.execute(_new_row(conn.dialect.name, table), dict(values)).first() is not None


@functools.cache
def _new_row(dialect: str, table: Table) -> ReturningInsert[Any]:
    """Built once: building it costs as much as running it."""
    return insert(dialect, table).on_conflict_do_nothing().returning(*table.primary_key)


def advisory_lock(conn: Connection, key: int) -> None:
    """Block other transactions that lock the same `key` until this one ends. SQLite has one writer anyway."""
    if conn.dialect.name == "postgresql":
        conn.execute(select(func.pg_advisory_xact_lock(key)))


def seconds_between(
    conn: Connection, start: ColumnElement[Any], end: ColumnElement[Any]
) -> ColumnElement[float]:
    """Seconds from one time to another, NULL if either is. SQLite stores times as text and computes in days."""
    if conn.dialect.name == "postgresql":
        return extract("epoch", end - start).cast(Float)
    # A Julian day as a double resolves about 40 us, so round to the millisecond.
    return func.round((func.julianday(end) - func.julianday(start)) * 86_400.0, 3)


def without_compilation(conn: Connection) -> None:
    """Interpret the queries of this transaction: compiling a long one takes PostgreSQL longer than it gains."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("SET LOCAL jit = off"))


def at_least_zero(conn: Connection, number: ColumnElement[Any]) -> ColumnElement[Any]:
    """The number, or 0 if it is negative. Of NULL, 0 on PostgreSQL and NULL on SQLite."""
    return func.greatest(number, 0) if conn.dialect.name == "postgresql" else func.max(number, 0)
