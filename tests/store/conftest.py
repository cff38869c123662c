"""A real database for each test: SQLite in a folder of its own, and PostgreSQL too where one is lent.

Set CALLREEL_TEST_POSTGRES_URL to an empty database that may be wiped, and every test of rows runs on it as well.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from callreel.store.database import Database

POSTGRES_URL = os.environ.get("CALLREEL_TEST_POSTGRES_URL")


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with all tables and no rows, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "callreel.db"
    opened = Database.open(str(path))
    opened.migrate()
    opened.close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"] if POSTGRES_URL else ["sqlite"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without any tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'callreel.db'}"
    assert POSTGRES_URL is not None
    database = Database.open(POSTGRES_URL)
    with database.write() as conn:
        conn.execute(text("DROP SCHEMA public CASCADE"))
        conn.execute(text("CREATE SCHEMA public"))
    database.close()
    return POSTGRES_URL


@pytest.fixture
def database(empty_url: str, tmp_path: Path, migrated_file: Path) -> Iterator[Database]:
    if empty_url.startswith("sqlite"):
        shutil.copy(migrated_file, tmp_path / "callreel.db")
    opened = Database.open(empty_url)
    if opened.dialect != "sqlite":
        opened.migrate()
    yield opened
    opened.close()
