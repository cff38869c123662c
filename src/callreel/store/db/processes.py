"""The process registry: heartbeats as rows, and the lock of the leader.

Heartbeats use the clock of PostgreSQL, so that machines with different clocks agree on which processes are alive.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, literal, select
from sqlalchemy.exc import DBAPIError

from callreel.domain.errors import StoreError
from callreel.store.db.database import Database, plain_errors
from callreel.store.db.dialect import insert
from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import processes, utc_now
from callreel.store.db.types import UTCDateTime

_LEADER_LOCK = 0x0CA11_1EAD


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """`kind` is `server` or `worker`."""

    name: str
    kind: str
    host: str
    started_at: datetime
    heartbeat_at: datetime


def heartbeat(conn: Connection, name: str, kind: str, host: str) -> None:
    """Save a heartbeat of the process `name`."""
    now = _now(conn)
    statement = insert(conn.dialect.name, processes).values(
        name=name, kind=kind, host=host, started_at=now, heartbeat_at=now
    )
    conn.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"heartbeat_at": now}))


def alive(conn: Connection, within: timedelta) -> set[str]:
    """The processes with a heartbeat within this time."""
    # SQLite cannot subtract from a time.
    since = _now(conn) - within if conn.dialect.name == "postgresql" else utc_now() - within
    return set(conn.execute(select(processes.c.name).where(processes.c.heartbeat_at > since)).scalars())


def names(conn: Connection) -> set[str]:
    """All registered processes, dead or alive."""
    return set(conn.execute(select(processes.c.name)).scalars())


def all_processes(conn: Connection) -> list[ProcessRow]:
    """All registered processes, the latest heartbeat first."""
    query = select(processes).order_by(processes.c.heartbeat_at.desc(), processes.c.name)
    return fetch_all(conn, ProcessRow, query)


def remove(conn: Connection, name: str) -> None:
    """Unregister a process that ends."""
    conn.execute(delete(processes).where(processes.c.name == name))


def remove_stale(conn: Connection, older_than: timedelta) -> int:
    """Delete the rows of processes without a heartbeat for this long; returns their number."""
    before = utc_now() - older_than
    return conn.execute(delete(processes).where(processes.c.heartbeat_at < before)).rowcount


class LeaderLock:
    """Held by one process of an installation on PostgreSQL, until its process or its connection dies."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._held = False

    def acquire(self) -> bool:
        """Try to take the lock, or check that its connection still works; returns whether we hold it. Blocking.

        Raises StoreError if the database is unavailable, which releases the lock.
        """
        try:
            if self._connection is None:
                self._connection = self._database.dedicated_connection()
            held = literal(True) if self._held else func.pg_try_advisory_lock(_LEADER_LOCK)
            with plain_errors():
                self._held = bool(self._connection.execute(select(held)).scalar_one())
        except StoreError:
            self.release()
            raise
        return self._held

    def release(self) -> None:
        connection, self._connection, self._held = self._connection, None, False
        if connection is not None:
            with suppress(DBAPIError):
                connection.close()


def _now(conn: Connection) -> ColumnElement[Any]:
    if conn.dialect.name == "postgresql":
        return func.clock_timestamp()
    return literal(utc_now(), UTCDateTime)
