"""Rows as dataclasses whose fields are named like the columns of their table."""

from collections.abc import Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable, Table

R = TypeVar("R")


def fetch_all(
    conn: Connection, row_type: type[R], query: Executable, parameters: Mapping[str, Any] | None = None
) -> list[R]:
    """Every row that `query` selects."""
    found = conn.execute(query, parameters or {})
    names = tuple(found.keys())
    return [row_type(**dict(zip(names, row, strict=True))) for row in found]


def fetch_one(
    conn: Connection, row_type: type[R], query: Executable, parameters: Mapping[str, Any] | None = None
) -> R | None:
    """The first row that `query` selects."""
    found = conn.execute(query, parameters or {}).first()
    return None if found is None else row_type(**found._mapping)


def values_of(table: Table, row: object) -> dict[str, Any]:
    """The fields of `row` as values for an insert or update."""
    return {column.name: getattr(row, column.name) for column in table.c}
