"""Processes of an installation as rows: when each last said that it lives, and a lock that one of them holds.

Compared by the database's own clock where it has one, so that machines whose clocks differ agree on who is alive.
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
from callreel.store.db.tables import processes, utc_now
from callreel.store.db.types import UTCDateTime

_LEAD_LOCK = 0x0CA11_1EAD


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """`kind` is `server` or `worker`."""

    name: str
    kind: str
    host: str
    started_at: datetime
    heartbeat_at: datetime


def heartbeat(conn: Connection, name: str, kind: str, host: str) -> None:
    """`name` lives now."""
    now = _now(conn)
    statement = insert(conn.dialect.name, processes).values(
        name=name, kind=kind, host=host, started_at=now, heartbeat_at=now
    )
    conn.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"heartbeat_at": now}))


def alive(conn: Connection, within: timedelta) -> set[str]:
    """Names that have said so in this time."""
    fresh = select(processes.c.name).where(processes.c.heartbeat_at > _now(conn) - within)
    if conn.dialect.name != "postgresql":
        fresh = select(processes.c.name).where(processes.c.heartbeat_at > utc_now() - within)
    return set(conn.execute(fresh).scalars())


def names(conn: Connection) -> set[str]:
    """All that have not left, dead or alive."""
    return set(conn.execute(select(processes.c.name)).scalars())


def all_processes(conn: Connection) -> list[ProcessRow]:
    """All that are known, the latest heard of first."""
    query = select(processes).order_by(processes.c.heartbeat_at.desc(), processes.c.name)
    return [ProcessRow(**row._asdict()) for row in conn.execute(query)]


def remove(conn: Connection, name: str) -> None:
    """`name` ends in order."""
    conn.execute(delete(processes).where(processes.c.name == name))


def remove_stale(conn: Connection, older_than: timedelta) -> int:
    """Drop rows of those not heard of for long; nothing depends on them."""
    before = utc_now() - older_than
    return conn.execute(delete(processes).where(processes.c.heartbeat_at < before)).rowcount


class LeaderLock:
    """Held by one process of an installation on PostgreSQL; let go of when its process or its connection dies."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._held = False

    def acquire(self) -> bool:
        """Whether it is ours: asked for if it is not, else asked whether we still have it. Blocking.

        Raises StoreError when the database is away, and with it the lock.
        """
        try:
            if self._connection is None:
                self._connection = self._database.dedicated_connection()
            question = literal(True) if self._held else func.pg_try_advisory_lock(_LEAD_LOCK)
            with plain_errors():
                self._held = bool(self._connection.execute(select(question)).scalar_one())
        except StoreError:
            self.release()
            raise
        return self._held

    def release(self) -> None:
        """Let go."""
        connection, self._connection, self._held = self._connection, None, False
        if connection is not None:
            with suppress(DBAPIError):
                connection.close()


def _now(conn: Connection) -> ColumnElement[Any]:
    if conn.dialect.name == "postgresql":
        return func.clock_timestamp()
    return literal(utc_now(), UTCDateTime)
