"""Processes of an installation as rows: when each last said that it lives. Also the write that health checks do.

Compared by the database's own clock where it has one, so that machines whose clocks differ agree on who is alive.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, literal, select

from callreel.domain.errors import StoreError
from callreel.store.database import Database
from callreel.store.dialect import insert
from callreel.store.tables import UTCDateTime, processes, utc_now

_SERVER_LOCK = 0x0CA11_5E12


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """`kind` is `server` or `worker`."""

    name: str
    kind: str
    host: str
    started_at: datetime
    beat_at: datetime


def beat(conn: Connection, name: str, kind: str, host: str) -> None:
    """`name` lives now."""
    now = _now(conn)
    statement = insert(conn, processes).values(name=name, kind=kind, host=host, started_at=now, beat_at=now)
    conn.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"beat_at": now}))


def alive(conn: Connection, within: timedelta) -> set[str]:
    """Names that have said so in this time."""
    fresh = select(processes.c.name).where(processes.c.beat_at > _now(conn) - within)
    if conn.dialect.name != "postgresql":
        fresh = select(processes.c.name).where(processes.c.beat_at > utc_now() - within)
    return set(conn.execute(fresh).scalars())


def everyone(conn: Connection) -> list[ProcessRow]:
    """All that are known, the latest heard of first."""
    query = select(processes).order_by(processes.c.beat_at.desc(), processes.c.name)
    return [ProcessRow(**row._asdict()) for row in conn.execute(query)]


def leave(conn: Connection, name: str) -> None:
    """`name` ends in order."""
    conn.execute(delete(processes).where(processes.c.name == name))


def forget(conn: Connection, older_than: timedelta) -> int:
    """Drop rows of those not heard of for long; nothing depends on them."""
    before = utc_now() - older_than
    return conn.execute(delete(processes).where(processes.c.beat_at < before)).rowcount


class ServerLock:
    """Held by the one server of an installation whose database is PostgreSQL; let go of when its process dies.

    On SQLite a lock on a file of the data folder says the same (`services/presence`).
    """

    def __init__(self, database: Database, *, patience_s: float = 10.0) -> None:
        """Take it. A server that was just killed may hold it for an instant more. Raises StoreError."""
        self._connection = database.own_connection()
        until_s = time.monotonic() + patience_s
        while not self._connection.execute(select(func.pg_try_advisory_lock(_SERVER_LOCK))).scalar_one():
            if time.monotonic() > until_s:
                self._connection.close()
                raise StoreError(
                    "another callreel serve uses this database; one serves, more work: callreel work"
                )
            time.sleep(0.2)

    def release(self) -> None:
        """Let go."""
        self._connection.close()


def _now(conn: Connection) -> ColumnElement[Any]:
    if conn.dialect.name == "postgresql":
        return func.clock_timestamp()
    return literal(utc_now(), UTCDateTime)
