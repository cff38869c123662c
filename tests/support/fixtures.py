"""A real database for each test: SQLite in a temporary folder, and PostgreSQL on the test server.

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
from tests.support.installation import Installation, temporary_installation
from tests.support.postgres import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with all tables and no rows, for copying."""
    path = tmp_path_factory.mktemp("migrated") / "callreel.db"
    opened = Database.open(str(path))
    opened.migrate()
    opened.close()
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
