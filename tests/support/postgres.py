"""A PostgreSQL server for the tests, started as a normal user on loopback and deleted afterwards.

`scripts/get_postgres.sh` brings the programs where they are missing. Without them the tests that need a server are
skipped with a line that says so, and fail where CI is set. Syncing is off: no test here
is about a power cut, and a server that is stopped like a crash keeps what it committed all the same.
"""

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.support.program import free_port

USER = "callreel"
_WAIT_S = 60
_UNPRIVILEGED_UID = 65534
"""The user without rights of every Linux distribution."""


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`, of the newest version."""
    on_path = shutil.which("pg_ctl")
    if on_path and (Path(on_path).resolve().parent / "initdb").exists():
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


class PostgresServer:
    """One running server. `new_url` gives an empty database each time."""

    def __init__(self, bin_dir: Path, folder: Path, owner: str | None) -> None:
        self._bin = bin_dir
        self._folder = folder
        self._owner = owner
        self._numbers = itertools.count(1)
        self.port = free_port()

    def create(self) -> None:
        """Create the cluster and start it."""
        self._run(
            "initdb", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "-N", "-D", str(self._data)
        )
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write(
                f"port={self.port}\nlisten_addresses='127.0.0.1'\nunix_socket_directories=''\n"
                "fsync=off\nfull_page_writes=off\nmax_connections=200\n"
            )
        self.start()

    @property
    def _data(self) -> Path:
        return self._folder / "cluster"

    def start(self) -> None:
        """Start it and wait until it responds."""
        log = str(self._folder / "postgres.log")
        self._run("pg_ctl", "-D", str(self._data), "-w", "-t", str(_WAIT_S), "-l", log, "start")

    def stop(self, mode: str = "immediate") -> None:
        """`immediate` is like a crash, `fast` is a clean shutdown."""
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", mode, "stop")

    def new_url(self, *, template: str = "template1") -> str:
        """A new database; empty, or a copy of the one named `template`, which must have no connection."""
        name = f"test_{next(self._numbers)}"
        self._sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def drop(self, url: str) -> None:
        """Drop a database with its connections."""
        self._sql(f'DROP DATABASE IF EXISTS "{url.rpartition("/")[2]}" WITH (FORCE)')

    def _sql(self, statement: str) -> None:
        address = self.url("postgres").replace("postgresql:", "postgresql+psycopg:")
        engine = create_engine(address, isolation_level="AUTOCOMMIT")
        with engine.connect() as conn:
            conn.execute(text(statement))
        engine.dispose()

    def _run(self, program: str, *arguments: str) -> None:
        # To a file, since the server inherits these handles and would keep a pipe open.
        with (self._folder / "commands.log").open("ab") as log:
            done = subprocess.run(
                [str(self._bin / program), *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder, timeout=_WAIT_S + 10,
                user=self._owner, env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            )  # fmt: skip
        if done.returncode:
            logs = [self._folder / name for name in ("commands.log", "postgres.log")]
            texts = [log.read_text()[-1500:] for log in logs if log.exists()]
            raise RuntimeError(f"{program} failed: {chr(10).join(texts)}")


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running server. Without PostgreSQL's programs it skips the test, or fails it in CI."""
    found = programs()
    if found is None:
        say = "PostgreSQL's programs are not installed: sh scripts/get_postgres.sh"
        if os.environ.get("CI"):
            pytest.fail(say)
        pytest.skip(say)
    folder = Path(tempfile.mkdtemp(prefix="callreel-postgres-", dir=_memory()))
    owner = _unprivileged_user() if os.geteuid() == 0 else None
    if owner:
        shutil.chown(folder, owner)
    server = PostgresServer(found, folder, owner)
    try:
        server.create()
        yield server
    finally:
        try:
            server.stop()
        except RuntimeError:
            pass  # a test stopped it
        shutil.rmtree(folder, ignore_errors=True)


def _memory() -> Path | None:
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > 1 << 30 else None


def _unprivileged_user() -> str:
    """A user of this machine without privileges, since the server refuses to run as root."""
    for user in pwd.getpwall():
        if user.pw_name == "postgres":
            return user.pw_name
    try:
        return pwd.getpwuid(_UNPRIVILEGED_UID).pw_name
    except KeyError:
        raise RuntimeError(f"no user postgres and no user {_UNPRIVILEGED_UID} to run PostgreSQL as") from None
