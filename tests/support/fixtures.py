"""What tests of many areas use: databases, installations with and without calls, servers of other parties.

A database is SQLite in a temporary folder, or PostgreSQL on the test server.

On PostgreSQL the tests share one database, which is emptied before each; a test that wants one without tables gets its own.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from callreel.store.db.database import Database
from callreel.store.db.tables import metadata
from tests.support.encryption import MASTER, keyring_of
from tests.support.installation import Installation, temporary_installation, write_migrated
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.rest_server import RestServer, rest_server
from tests.support.s3_server import S3Server, s3_server
from tests.support.seed import Seed, open_seed, seed


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with all tables and no rows, for copying."""
    path = tmp_path_factory.mktemp("migrated") / "callreel.db"
    write_migrated(path)
    return path


@pytest.fixture(scope="session")
def store_server() -> Iterator[PostgresServer]:
    """Started with the first test that needs it. Without PostgreSQL its tests are skipped, or fail in CI."""
    with postgres_server() as running:
        yield running


@pytest.fixture(scope="session")
def migrated_postgres(store_server: PostgresServer) -> Iterator[Database]:
    """With all tables, and the rows of the previous test."""
    opened = Database.open(store_server.new_url())
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without any tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'callreel.db'}"
    server: PostgresServer = request.getfixturevalue("store_server")
    return server.new_url()


@pytest.fixture(params=["sqlite", "sqlite encrypted", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """With all tables and no rows."""
    kind, _, encrypted = request.param.partition(" ")
    if kind == "postgresql":
        opened: Database = request.getfixturevalue("migrated_postgres")
        with opened.write() as conn:
            conn.execute(text(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY CASCADE"))
    else:
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "callreel.db")
        opened = Database.open(str(tmp_path / "callreel.db"))
    if encrypted:
        keyring_of(opened, MASTER)
    yield opened
    opened.use_cipher(None)
    if kind == "sqlite":
        opened.close()


@pytest.fixture
def installation() -> Iterator[Installation]:
    """A new installation for each test."""
    with temporary_installation() as here:
        yield here


@pytest.fixture(scope="session")
def seeded_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The calls of `seed`, made once; tests use copies."""
    folder = tmp_path_factory.mktemp("seed")
    seed(folder).database.close()
    return folder


@pytest.fixture
def place(seeded_folder: Path, tmp_path: Path) -> Iterator[Seed]:
    """A copy of the seeded installation."""
    shutil.copytree(seeded_folder, tmp_path, dirs_exist_ok=True)
    seeded = open_seed(tmp_path)
    yield seeded
    seeded.bus.close()
    seeded.database.close()


@pytest.fixture
def server() -> Iterator[RestServer]:
    """The carrier's REST, or another HTTP server, with scripted answers."""
    with rest_server() as running:
        yield running


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running
