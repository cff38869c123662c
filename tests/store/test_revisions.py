"""Corrections over the machine's text. How a turn changes is in tests/review/test_turn_edits.py."""

from dataclasses import replace

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from callreel.domain.call import Role
from callreel.domain.transcript import TranscriptKind, Turn, Word
from callreel.store.calls.calls import lock
from callreel.store.db.database import Database
from callreel.store.db.tables import calls, revised_turns
from callreel.store.transcripts import revisions, transcripts
from tests.support.rows import CALL, NOON, a_call, after

TURNS = tuple(
    Turn(Role.AGENT, 1000 * n, 1000 * n + 500, text, 0.5, (Word(text, 1000 * n, 1000 * n + 500, 0.5),))
    for n, text in enumerate(("zero", "one", "two"))
)


@pytest.fixture
def call(database: Database) -> Database:
    a_call(database)
    with database.write() as conn:
        assert revisions.shown(conn, CALL.id) is None
        transcripts.put(conn, CALL.id, TranscriptKind.FINAL, "engine", "", TURNS)
    return database


def revise(database: Database, changed: dict[int, Turn | None]) -> revisions.Shown:
    with database.write() as conn:
        lock(conn, CALL.id)
        base = revisions.shown(conn, CALL.id)
        assert base is not None
        revisions.add(conn, CALL.id, base, changed, [{"turn": place} for place in changed], "ada", NOON)
        now = revisions.shown(conn, CALL.id)
    assert now is not None
    return now


def test_corrections_replace_machine_turns(call: Database) -> None:
    two = replace(TURNS[2], text="too", words=(Word("too", 2000, 2500),))
    assert revise(call, {2: two}).turns == (TURNS[0], TURNS[1], two)
    gone = revise(call, {0: None})
    assert (gone.number, gone.turns, gone.places) == (2, (TURNS[1], two), (1, 2))
    again = replace(two, role=Role.TECHNICIAN)
    now = revise(call, {1: again})
    assert now.turns == (TURNS[1], again)
    assert now.machine.turns == TURNS
    with call.read() as conn:
        listed = revisions.of_call(conn, CALL.id, 10)
    assert [(row.number, row.by, row.at, list(row.changes)) for row in listed] == [
        (3, "ada", NOON, [{"turn": 1}]),
        (2, "ada", NOON, [{"turn": 0}]),
        (1, "ada", NOON, [{"turn": 2}]),
    ]


def test_concurrent_revisions_of_one_base_conflict(call: Database) -> None:
    with call.read() as conn:
        base = revisions.shown(conn, CALL.id)
    assert base is not None
    with call.write() as conn:
        revisions.add(conn, CALL.id, base, {}, [], "ada", NOON)
    with pytest.raises(IntegrityError), call.write() as conn:
        revisions.add(conn, CALL.id, base, {}, [], "ben", after(1))


def test_erasing_a_call_deletes_its_corrections(call: Database) -> None:
    revise(call, {0: None})
    with call.write() as conn:
        conn.execute(delete(calls))
        assert conn.execute(select(func.count()).select_from(revised_turns)).scalar_one() == 0
