import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, update

from callreel.domain.errors import StoreError
from callreel.store.calls import calls
from callreel.store.db.database import Database
from callreel.store.db.tables import facts
from tests.support.rows import CALL, NOON, a_call


@contextmanager
def opened(url: str, busy_timeout_s: float = 20.0) -> Iterator[Database]:
    database = Database.open(url, busy_timeout_s=busy_timeout_s)
    try:
        yield database
    finally:
        database.close()


def one_line(error: BaseException) -> str:
    assert "\n" not in str(error)
    return str(error)


def test_sqlite_pragmas_are_set(tmp_path: Path) -> None:
    with opened(str(tmp_path / "new folder" / "callreel.db")) as database, database.write() as conn:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        found = [conn.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in pragmas]
    assert found == ["wal", 2, 1, 20_000]
    assert (database.dialect, database.sqlite_version) == ("sqlite", sqlite3.sqlite_version)


def test_database_file_is_private(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/callreel.db") as database:
        database.migrate()
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"callreel.db": 0o600, "callreel.db-wal": 0o600, "callreel.db-shm": 0o600}


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "a database URL is"),
        (":memory:", "a database URL is"),
        ("sqlite://", "sqlite:///path"),
        ("sqlite:///:memory:", "sqlite:///path"),
        ("sqlite:///a.db?mode=ro", "without options"),
        ("sqlite://folder/a.db", "four slashes"),
        ("mysql://me:hush@host/db", "got the scheme 'mysql'"),
        ("postgresql+asyncpg://me:hush@host/db", "got the scheme"),
        ("postgresql://me:hush@host:port/db", "malformed"),
        ("postgresql://me:hush@127.0.0.1:1/db", "PostgreSQL cannot be reached"),
    ],
)
def test_invalid_url_gives_one_line_without_its_password(url: str, says: str) -> None:
    with pytest.raises(StoreError, match=says) as caught:
        Database.open(url)
    assert "hush" not in one_line(caught.value)


def test_other_file_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear Sir or Madam, " * 100)
    with pytest.raises(StoreError, match="file is not a database") as caught:
        Database.open(str(path))
    assert one_line(caught.value)
    assert path.read_text().startswith("Dear Sir")


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be opened for writing: Not a directory|File exists"):
        Database.open(f"sqlite:///{tmp_path}/file/callreel.db")


@pytest.mark.skipif(
    not Path("/proc/self").is_dir(), reason="needs a folder that even root cannot write to: /proc"
)
def test_unwritable_folder_is_refused() -> None:
    with pytest.raises(StoreError, match="cannot be opened for writing") as caught:
        Database.open("sqlite:////proc/callreel.db")
    assert one_line(caught.value)


def test_locked_database_is_refused_after_the_timeout(tmp_path: Path) -> None:
    path = tmp_path / "callreel.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="database is locked") as caught:
        Database.open(str(path), busy_timeout_s=0.05)
    assert one_line(caught.value)
    other.close()


def test_other_writer_causes_a_store_error(tmp_path: Path) -> None:
    url = str(tmp_path / "callreel.db")
    with opened(url) as one, opened(url, busy_timeout_s=0.05) as two:
        with one.write(), pytest.raises(StoreError, match="database is locked"), two.write():
            pass
        with two.write():
            pass  # and the one after it goes well


def test_failed_transaction_is_rolled_back(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as conn:
        calls.insert(conn, CALL)
        _ = 1 / 0
    with database.read() as conn:
        assert calls.get(conn, CALL.id) is None


def test_read_transaction_cannot_write(database: Database) -> None:
    with pytest.raises(StoreError, match="read-?only"), database.read() as conn:
        calls.insert(conn, CALL)


def test_reader_sees_one_snapshot(tmp_path: Path) -> None:
    with opened(str(tmp_path / "callreel.db")) as database:
        database.migrate()
        with database.read() as conn:
            assert calls.get(conn, CALL.id) is None
            a_call(database)
            assert calls.get(conn, CALL.id) is None
        with database.read() as conn:
            assert calls.get(conn, CALL.id) == CALL


def test_nested_write_raises_at_once(tmp_path: Path) -> None:
    with opened(str(tmp_path / "callreel.db")) as database, database.write():
        with pytest.raises(RuntimeError, match="pass the connection on"), database.write():
            pass


def test_errors_hide_bound_values(tmp_path: Path) -> None:
    with opened(str(tmp_path / "callreel.db")) as database:
        with pytest.raises(StoreError, match="no such table: calls") as caught, database.write() as conn:
            calls.insert(conn, CALL)
    assert CALL.remote_number not in f"{caught.value} {caught.value.__cause__}"


def test_quick_check_finds_damage(tmp_path: Path) -> None:
    path = tmp_path / "callreel.db"
    with opened(str(path)) as database:
        database.migrate()
        database.quick_check()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(8 * 4096))
    with opened(str(path)) as database, pytest.raises(StoreError, match="damaged|malformed") as caught:
        database.quick_check()
    assert one_line(caught.value)


def count_one_up(conn: Connection) -> None:
    known = conn.execute(select(facts.c.data)).scalar_one()
    conn.execute(update(facts).values(data={"n": known["n"] + 1}))


COUNT_UP = """
import sys
from sqlalchemy import select, update
from callreel.store.db.database import Database
from callreel.store.db.tables import facts

database = Database.open(sys.argv[1])
for _ in range(50):
    with database.write() as conn:
        known = conn.execute(select(facts.c.data)).scalar_one()
        conn.execute(update(facts).values(data={"n": known["n"] + 1}))
"""


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_concurrent_read_modify_write_loses_no_update(database: Database, tmp_path: Path) -> None:
    """On PostgreSQL, who reads before writing locks the row."""
    with database.write() as conn:
        conn.execute(insert(facts).values(kind="counter", data={"n": 0}, at=NOON))
    command = [sys.executable, "-c", COUNT_UP, str(tmp_path / "callreel.db")]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)
    ]

    def count_here(times: int) -> None:
        for _ in range(times):
            with database.write() as conn:
                count_one_up(conn)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count_here, [25] * 4))
    assert [process.communicate()[0] for process in processes] == [b"", b""]
    with database.read() as conn:
        assert conn.execute(select(facts.c.data)).scalar_one() == {"n": 200}


def test_concurrent_processes_migrate_once(empty_url: str) -> None:
    start = (
        "import sys; from callreel.store.db.database import Database; Database.open(sys.argv[1]).migrate()"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", start, empty_url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for _ in range(2)
    ]
    assert [process.communicate()[0] for process in processes] == [b"", b""]
    assert [process.returncode for process in processes] == [0, 0]
    with opened(empty_url) as database:
        a_call(database)
