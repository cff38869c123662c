import logging
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, delete, text

from callreel.domain.errors import StoreError
from callreel.store.calls import calls, facts
from callreel.store.db import migrations
from callreel.store.db.database import Database
from callreel.store.db.tables import calls as call_table
from callreel.store.db.tables import in_metadata, metadata
from tests.support.installation import write_migrated
from tests.support.rows import NOON, a_call


def test_migrated_database_equals_the_metadata(database: Database) -> None:
    with database.read() as conn:
        assert (
            compare_metadata(
                MigrationContext.configure(conn, opts={"compare_type": True, "include_object": in_metadata}),
                metadata,
            )
            == []
        )


def test_comparison_detects_differences(database: Database) -> None:
    with database.rebuild() as conn:
        conn.exec_driver_sql("DROP INDEX ix_calls_state")
        conn.exec_driver_sql("ALTER TABLE facts ADD COLUMN more TEXT")
        found = compare_metadata(
            MigrationContext.configure(conn, opts={"include_object": in_metadata}), metadata
        )
    assert [difference[0] for difference in found] == ["add_index", "remove_column"]


def test_migrations_form_one_line() -> None:
    steps = list(ScriptDirectory(str(Path(migrations.__file__).parent)).walk_revisions())
    assert [step.revision for step in reversed(steps)] == [f"{1 + n:04}" for n in range(len(steps))]


def test_repeated_migration_keeps_rows_and_logging(database: Database) -> None:
    call = a_call(database)
    before = (logging.root.level, list(logging.root.handlers), logging.getLogger("alembic").level)
    database.migrate()
    assert (logging.root.level, list(logging.root.handlers), logging.getLogger("alembic").level) == before
    with database.read() as conn:
        assert calls.get(conn, call.id) == call


def test_rebuilding_a_table_keeps_referring_rows(tmp_path: Path) -> None:
    database = Database.open(str(tmp_path / "callreel.db"))
    database.migrate()
    call = a_call(database)
    with database.write() as conn:
        facts.note(conn, "odd", {}, NOON, call_id=call.id)
    with database.rebuild() as conn:
        conn.exec_driver_sql("CREATE TABLE copy AS SELECT * FROM calls")
        conn.execute(delete(call_table))
        conn.exec_driver_sql("INSERT INTO calls SELECT * FROM copy")
        conn.exec_driver_sql("DROP TABLE copy")
    with database.write() as conn:
        assert len(facts.of_call(conn, call.id)) == 1
        conn.execute(delete(call_table))  # from now on references hold again
        assert facts.of_call(conn, call.id) == []
    database.close()


def test_rebuild_with_broken_references_is_rolled_back(tmp_path: Path) -> None:
    database = Database.open(str(tmp_path / "callreel.db"))
    database.migrate()
    call = a_call(database)
    with database.write() as conn:
        facts.note(conn, "odd", {}, NOON, call_id=call.id)
    with (
        pytest.raises(StoreError, match="rows of facts would refer to missing rows"),
        database.rebuild() as conn,
    ):
        conn.execute(delete(call_table))
    with database.read() as conn:
        assert calls.get(conn, call.id) == call
    database.close()


def test_database_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    database = Database.open(f"{tmp_path}/app.db")
    database.migrate()
    with database.write() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer Callreel .*9999.*update"):
        database.migrate()
    database.close()


def test_current_tables_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_migrated(tmp_path / "app.db")
    upgraded: list[Connection] = []
    monkeypatch.setattr(migrations, "upgrade", upgraded.append)
    for name in ("empty.db", "app.db"):
        database = Database.open(f"{tmp_path}/{name}")
        database.migrate()
        database.close()
    assert len(upgraded) == 1
