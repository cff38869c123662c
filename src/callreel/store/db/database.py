"""The database connection: opening it, transactions and migrations, on SQLite or PostgreSQL.

On SQLite a process has one writing connection behind a lock, every writing transaction begins IMMEDIATE, and commits are
synced (reference/engine.md, section 3: with deferred transactions 742 of 800 failed, and with `synchronous=NORMAL` a power
cut may lose what was acknowledged to the carrier).

All methods block; code on an event loop uses `asyncio.to_thread`.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InternalError, OperationalError

from callreel.domain.errors import StoreError
from callreel.store.db.dialect import advisory_lock
from callreel.store.db.types import to_json, use_cipher
from callreel.store.encryption.sealed_text import TextCipher

BUSY_TIMEOUT_S = 20.0
_CHECKPOINT_WAIT_MS = 250
_STEPS = Path(__file__).parent / "migrations" / "versions"
_REBUILD_LOCK = 0x0CA11_4EE1
_URL_FORMS = "sqlite:///path, a path, or postgresql://user@host/name"


class AtCommit(Protocol):
    """What belongs into the same transaction as a change of the current request or command: the check that the person is still
    signed in, and its audit entry."""

    def after_begin(self, conn: Connection) -> None: ...

    def before_commit(self, conn: Connection) -> None: ...

    def after_commit(self) -> None: ...


at_commit: ContextVar[AtCommit | None] = ContextVar("at_commit", default=None)


class Database:
    """One open database, shared by threads. The code that opens it must close it."""

    def __init__(self, writer: Engine, reader: Engine, busy_timeout_s: float) -> None:
        self._writer = writer
        self._reader = reader
        self._busy_timeout_s = busy_timeout_s
        self._write_lock = threading.Lock()
        self._writer_thread: int | None = None

    @classmethod
    def open(cls, url: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> "Database":
        """`url` is `sqlite:///path`, a plain path, or `postgresql://...`. Creates the folder of a file.

        Raises StoreError for another URL, and for a database that cannot be opened.
        """
        parsed = _parse(url)
        if parsed.get_backend_name() == "sqlite":
            return _open_sqlite(Path(str(parsed.database)), busy_timeout_s)
        return _open_postgresql(parsed, busy_timeout_s)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._writer.dialect.name

    def use_cipher(self, cipher: TextCipher | None) -> None:
        """Encrypt and decrypt the columns of a `Sealed` type from now on; None: neither."""
        for engine in (self._writer, self._reader):
            use_cipher(engine.dialect, cipher)

    @property
    def sqlite_version(self) -> str | None:
        """The library's version, such as `3.45.1`; None on PostgreSQL."""
        return sqlite3.sqlite_version if self.dialect == "sqlite" else None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A writing transaction: committed at the end, rolled back on an exception.

        Raises StoreError if the database is busy for longer than the timeout, or full, damaged or unavailable. A thread
        must not nest it but pass the connection on. If it changes a row, it ends with what `at_commit` adds.
        """
        addition = at_commit.get()
        with self._writing(), plain_errors(), self._writer.begin() as conn:
            if addition is None:
                yield conn
                return
            addition.after_begin(conn)
            changed = _watched(conn)
            yield conn
            if not changed():
                return
            addition.before_commit(conn)
        addition.after_commit()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read-only transaction on one snapshot. On SQLite it never waits for a writer."""
        with plain_errors(), self._reader.begin() as conn:
            yield conn

    def migrate(self) -> None:
        """Migrate the tables to the newest version in one transaction. Concurrent processes wait for each other."""
        if self._newest():
            return
        # Importing Alembic takes a quarter of a second, which a start with current tables should not pay.
        from callreel.store.db.migrations import upgrade

        with self.rebuild() as conn:
            upgrade(conn)

    def _newest(self) -> bool:
        """Whether the tables have the newest version already: the last of the steps, whose files begin with their version."""
        newest = max(step.name.partition("_")[0] for step in _STEPS.glob("[0-9]*.py"))
        with self.read() as conn:
            return inspect(conn).has_table("alembic_version") and newest == conn.scalar(
                text("SELECT version_num FROM alembic_version")
            )

    @contextmanager
    def rebuild(self) -> Iterator[Connection]:
        """A writing transaction that may rebuild a table without deleting the rows that refer to it."""
        around = _rebuild_sqlite if self.dialect == "sqlite" else _rebuild_postgresql
        with self._writing(), plain_errors(), self._writer.connect() as conn, around(conn):
            yield conn

    def dedicated_connection(self) -> Connection:
        """An autocommit connection outside the pool, for a lock that lasts as long as it. PostgreSQL only."""
        with plain_errors():
            connection = self._writer.connect().execution_options(isolation_level="AUTOCOMMIT")
            connection.detach()
            return connection

    def quick_check(self) -> None:
        """Raises StoreError if SQLite finds damage; reads the whole file. On PostgreSQL it only checks the connection."""
        with self.read() as conn:
            if self.dialect != "sqlite":
                conn.execute(text("SELECT 1"))
                return
            found = conn.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        if found != "ok":
            raise StoreError(f"the database is damaged ({_first_line(found)}); restore a backup")

    def truncate_wal(self) -> None:
        """Checkpoint SQLite's write-ahead log and truncate it, as far as readers permit. Not within `write`."""
        if self.dialect != "sqlite":
            return
        with self._writing(), plain_errors():
            connection = self._writer.raw_connection()
            cursor = connection.cursor()
            try:
                # The checkpoint blocks writers, so it must not wait long for a slow reader.
                cursor.execute(f"PRAGMA busy_timeout={_CHECKPOINT_WAIT_MS}")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                cursor.execute(f"PRAGMA busy_timeout={round(self._busy_timeout_s * 1000)}")
                connection.close()

    def close(self) -> None:
        """Close all connections. On SQLite the last one checkpoints the write-ahead log."""
        self._reader.dispose()
        self._writer.dispose()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """On SQLite, one writing transaction at a time in this process."""
        if self.dialect != "sqlite":
            yield
            return
        if self._writer_thread == threading.get_ident():
            raise RuntimeError("write() inside write() in one thread: pass the connection on")
        if not self._write_lock.acquire(timeout=self._busy_timeout_s):
            raise StoreError(f"the database was busy in this process for {self._busy_timeout_s:g} s")
        self._writer_thread = threading.get_ident()
        try:
            yield
        finally:
            self._writer_thread = None
            self._write_lock.release()


def _watched(conn: Connection) -> Callable[[], bool]:
    """Whether the transaction has changed a row since."""
    driver = conn.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        before = driver.total_changes
        return lambda: driver.total_changes != before
    changed: list[bool] = []

    @event.listens_for(conn, "after_cursor_execute")
    def after(_conn: object, cursor: Any, _sql: str, _values: object, context: Any, _many: bool) -> None:
        if (context.isinsert or context.isupdate or context.isdelete) and cursor.rowcount != 0:
            changed.append(True)

    return lambda: bool(changed)


def _parse(url: str) -> URL:
    if "://" not in url:
        if not url.strip() or url == ":memory:":
            raise StoreError(f"a database URL is {_URL_FORMS}; got {url!r}")
        return URL.create("sqlite", database=url)
    scheme = url.partition("://")[0]
    # Some providers use the old name of the scheme; we choose the driver.
    if scheme in ("postgres", "postgresql"):
        url = "postgresql+psycopg" + url[len(scheme) :]
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise StoreError(f"a database URL is {_URL_FORMS}; got a malformed {scheme} URL") from None
    if parsed.drivername == "postgresql+psycopg":
        return parsed
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise StoreError(f"a database URL is {_URL_FORMS}; got the scheme {scheme!r}")
    if parsed.host or parsed.query or not parsed.database or parsed.database == ":memory:":
        raise StoreError(
            "an SQLite URL is sqlite:///path (four slashes before an absolute path), without options"
        )
    return parsed


def _open_sqlite(path: Path, busy_timeout_s: float) -> Database:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # SQLite would create the file readable by everybody; its log files take the mode of this file.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(f"the database file {path} cannot be opened for writing: {error.strerror}") from None
    url = URL.create("sqlite", database=str(path))
    connect = {"timeout": busy_timeout_s, "isolation_level": None, "check_same_thread": False}
    common: dict[str, Any] = {"connect_args": connect, "hide_parameters": True, "json_serializer": to_json}
    writer = create_engine(url, pool_size=1, max_overflow=0, **common)
    reader = create_engine(url, pool_size=8, max_overflow=32, **common)
    _set_up(
        writer,
        "BEGIN IMMEDIATE",
        "PRAGMA synchronous=FULL",
        "PRAGMA foreign_keys=ON",
        "PRAGMA secure_delete=ON",
    )
    _set_up(reader, "BEGIN", "PRAGMA query_only=ON")
    try:
        _use_wal(path, busy_timeout_s)
        with writer.begin() as conn:
            conn.exec_driver_sql("SELECT count(*) FROM sqlite_master")
    except (sqlite3.Error, DBAPIError) as error:
        writer.dispose()
        raise StoreError(f"the database file {path} cannot be used: {_first_line(error)}") from None
    return Database(writer, reader, busy_timeout_s)


def _set_up(engine: Engine, begin: str, *pragmas: str) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in pragmas:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def on_begin(conn: Connection) -> None:
        conn.exec_driver_sql(begin)


def _use_wal(path: Path, busy_timeout_s: float) -> None:
    """Switch the file to write-ahead logging, which it remembers.

    The switch does not always honour the busy timeout, so processes that create a new file at once must retry.
    """
    until = time.monotonic() + busy_timeout_s
    while True:
        connection = sqlite3.connect(path, timeout=max(0.0, until - time.monotonic()))
        try:
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= until:
                raise
            time.sleep(0.02)
            continue
        finally:
            connection.close()
        if mode != "wal":
            raise StoreError(
                f"the database file {path} must be on a local file system: this one does not support WAL"
            )
        return


def _open_postgresql(url: URL, busy_timeout_s: float) -> Database:
    try:
        engine = create_engine(
            url,
            hide_parameters=True,
            json_serializer=to_json,
            pool_pre_ping=True,
            connect_args={"connect_timeout": max(1, int(busy_timeout_s))},
        )
        with engine.connect():
            pass
    except ImportError:
        raise StoreError("PostgreSQL needs the driver: pip install 'psycopg[binary]'") from None
    except DBAPIError as error:
        raise StoreError(f"PostgreSQL cannot be reached: {_first_line(error)}") from None
    return Database(engine, engine.execution_options(postgresql_readonly=True), busy_timeout_s)


@contextmanager
def _rebuild_sqlite(conn: Connection) -> Iterator[None]:
    """With foreign keys on, dropping the old copy of a table would cascade to all rows that refer to it.

    The setting cannot change within a transaction, hence the steps of sqlite.org/lang_altertable.html, section 7.
    """
    driver = conn.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        with conn.begin():
            yield
            broken = conn.exec_driver_sql("PRAGMA foreign_key_check").first()
            if broken is not None:
                raise StoreError(f"rows of {broken[0]} would refer to missing rows; nothing was changed")
    finally:
        driver.execute("PRAGMA foreign_keys=ON")


@contextmanager
def _rebuild_postgresql(conn: Connection) -> Iterator[None]:
    with conn.begin():
        advisory_lock(conn, _REBUILD_LOCK)
        yield


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn failures of the database (locked, full, damaged, unavailable) into a StoreError. Our own mistakes pass."""
    try:
        yield
    except DBAPIError as error:
        if isinstance(error, OperationalError | InternalError) or type(error) is DatabaseError:
            raise StoreError(f"the database failed: {_first_line(error)}") from error
        raise


def _first_line(error: object) -> str:
    origin = error.orig if isinstance(error, DBAPIError) else error
    lines = str(origin).strip().splitlines()
    return lines[0] if lines else type(origin).__name__
