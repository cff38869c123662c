import logging
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, MetaData, column, delete, insert, inspect, select, text
from sqlalchemy import table as lightweight

from callreel.domain.access import UserRole
from callreel.domain.call import CallState
from callreel.domain.errors import StoreError
from callreel.store.calls import calls, facts, layers, recordings
from callreel.store.db import migrations
from callreel.store.db.database import Database
from callreel.store.db.tables import Named, UTCDateTime, in_metadata, metadata
from callreel.store.db.tables import calls as call_table
from callreel.store.people import users
from callreel.store.transcripts import finals, transcripts
from tests.support.rows import NOON, a_call


def test_the_migrated_database_is_what_the_code_thinks_it_is(database: Database) -> None:
    with database.read() as conn:
        assert (
            compare_metadata(
                MigrationContext.configure(conn, opts={"compare_type": True, "include_object": in_metadata}),
                metadata,
            )
            == []
        )


def test_the_comparison_would_see_a_difference(database: Database) -> None:
    with database.rebuild() as conn:
        conn.exec_driver_sql("DROP INDEX ix_calls_state")
        conn.exec_driver_sql("ALTER TABLE facts ADD COLUMN more TEXT")
        found = compare_metadata(
            MigrationContext.configure(conn, opts={"include_object": in_metadata}), metadata
        )
    assert [difference[0] for difference in found] == ["add_index", "remove_column"]


def test_steps_form_one_line() -> None:
    steps = list(ScriptDirectory(str(Path(migrations.__file__).parent)).walk_revisions())
    assert [step.revision for step in reversed(steps)] == [f"{1 + n:04}" for n in range(len(steps))]


def test_migrating_again_keeps_rows_and_leaves_logging_alone(database: Database) -> None:
    call = a_call(database)
    before = (logging.root.level, list(logging.root.handlers), logging.getLogger("alembic").level)
    database.migrate()
    assert (logging.root.level, list(logging.root.handlers), logging.getLogger("alembic").level) == before
    with database.read() as conn:
        assert calls.get(conn, call.id) == call


def test_rebuilding_a_table_keeps_what_hangs_on_it(tmp_path: Path) -> None:
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


def test_a_rebuild_that_breaks_references_changes_nothing(tmp_path: Path) -> None:
    database = Database.open(str(tmp_path / "callreel.db"))
    database.migrate()
    call = a_call(database)
    with database.write() as conn:
        facts.note(conn, "odd", {}, NOON, call_id=call.id)
    with pytest.raises(StoreError, match="rows of facts would refer to nothing"), database.rebuild() as conn:
        conn.execute(delete(call_table))
    with database.read() as conn:
        assert calls.get(conn, call.id) == call
    database.close()


def test_a_database_of_a_newer_program_is_refused_in_one_line(tmp_path: Path) -> None:
    database = Database.open(f"{tmp_path}/app.db")
    database.migrate()
    with database.write() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer Callreel .*9999.*update"):
        database.migrate()
    database.close()


def test_people_of_before_keep_all_they_could_do(tmp_path: Path) -> None:
    """The second step gives people roles and identities: who signed in before could do everything."""
    database = Database.open(str(tmp_path / "callreel.db"))
    with database.rebuild() as conn:
        command.upgrade(migrations._config(conn), "0001")
        for name in ("ada b", "ada_b", "ben"):
            conn.exec_driver_sql(
                "INSERT INTO users (name, password_hash, role, created_at, disabled)"
                " VALUES (?, 'hash', 'user', '2026-11-22 12:00:00', 0)",
                (name,),
            )
        conn.exec_driver_sql(
            "INSERT INTO sessions VALUES ('digest', 1, '2026-11-22 12:00:00', '2126-11-22 12:00:00')"
        )
    database.migrate()
    with database.read() as conn:
        kept = users.everyone(conn)
        assert users.by_session(conn, "digest", NOON) == kept[0]
    assert [(row.name, row.role, row.identity) for row in kept] == [
        ("ada b", UserRole.ADMINISTRATOR, "ada_b"),
        ("ada_b", UserRole.ADMINISTRATOR, "ada_b_2"),
        ("ben", UserRole.ADMINISTRATOR, "ben"),
    ]
    database.close()


RELEASED = "0003"
"""The step that the last released version knows."""


def test_a_server_of_the_released_version_goes_on_inserting_beside_this_one(empty_url: str) -> None:
    """Expand, then contract: its rows name no column that is newer, and this version reads them."""
    database = Database.open(empty_url)
    with database.rebuild() as conn:
        command.upgrade(migrations._config(conn), RELEASED)
    with database.read() as conn:
        known = MetaData()
        known.reflect(
            conn, only=[name for name in inspect(conn).get_table_names() if name in metadata.tables]
        )
    database.migrate()
    assert {"calls", "recordings", "layers", "finals", "transcripts", "turns"} <= known.tables.keys()
    newer = {
        column
        for name in known.tables
        for column in metadata.tables[name].c
        if column.name not in known.tables[name].c
    }
    assert {"calls.owner", "transcripts.run", "finals.heard_by"} <= {str(column) for column in newer}
    with database.write() as conn:
        for table in known.sorted_tables:
            today = metadata.tables[table.name]
            columns = [today.c[column.name] for column in table.c]
            bare = lightweight(table.name, *[column(c.name, c.type) for c in columns])
            conn.execute(insert(bare).values({c.name: _value(c) for c in columns}))
    with database.read() as conn:
        for table in known.sorted_tables:
            found = conn.execute(select(metadata.tables[table.name])).mappings().one()
            assert found.keys() >= set(table.c.keys())
        (call,) = calls.in_state(conn, next(iter(CallState)))
        assert call.owner is None
        assert len(recordings.of_call(conn, call.id)) == 1
        assert [file.spool for file in layers.of_call(conn, call.id)] == [None]
        assert [final.heard_by for final in finals.of_call(conn, call.id)] == [""]
        transcript = transcripts.get(conn, 1)
        assert transcript is not None
        assert (transcript.run, transcript.why, [turn.heard_by for turn in transcript.turns]) == (
            "",
            "",
            [""],
        )
    database.close()


def _value(column: Column[Any]) -> object:
    """One that the column takes; the same for a key and what refers to it."""
    if isinstance(column.type, Named):
        names: type[StrEnum] = column.type.names
        return list(names)[0]
    if isinstance(column.type, UTCDateTime):
        return NOON
    values: dict[type, object] = {str: "a", int: 1, float: 1.0, bool: False, object: []}  # object is JSON
    return values[column.type.python_type]
