"""The audit trail as rows, on both databases: append-only, chained under concurrency, trimmed with a checkpoint."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Connection, delete, text, update
from sqlalchemy.exc import DBAPIError

from callreel.domain.audit import START, AuditAction, AuditEvent, Link, Via
from callreel.domain.ids import CallId
from callreel.store.audit import accesses, trail
from callreel.store.audit.pending import audited, describe
from callreel.store.audit.trail import TrailFilter
from callreel.store.calls import facts
from callreel.store.db.database import Database
from callreel.store.db.tables import audit_entries
from tests.support.rows import NOON

CALL = CallId("0123456789ab")


def event(second: float = 0, action: AuditAction = AuditAction.PLAYED, **values: object) -> AuditEvent:
    return AuditEvent(NOON + timedelta(seconds=second), action, "sam", Via.SESSION, **values)  # type: ignore[arg-type]


def fill(database: Database, count: int) -> None:
    for second in range(count):
        with database.write() as conn:
            trail.record(conn, event(second, call_id=CALL, details={"name": "a\x00b", "n": [1, None, True]}))


def as_attacker(conn: Connection) -> None:
    """Switch the triggers off, as the owner of the database can."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("ALTER TABLE audit_entries DISABLE TRIGGER audit_append_only"))
    else:
        conn.execute(text("DROP TRIGGER audit_no_update"))
        conn.execute(text("DROP TRIGGER audit_no_delete"))


def restore(conn: Connection) -> None:
    if conn.dialect.name == "postgresql":  # the tests share its tables
        conn.execute(text("ALTER TABLE audit_entries ENABLE TRIGGER audit_append_only"))


def test_entries_are_read_back_as_they_were_digested(database: Database) -> None:
    fill(database, 3)
    with database.read() as conn:
        assert trail.verify(conn).last == trail.head(conn) != START
        [newest] = trail.page(conn, TrailFilter(actor="sam", call_id=CALL), 1)
        assert newest.number == 3 and newest.details == {"name": "ab", "n": [1, None, True]}
        assert trail.page(conn, TrailFilter(actor="zoe"), 9) == []
        assert [entry.number for entry in trail.entries(conn, TrailFilter(since=newest.at))] == [3]
        assert [entry.number for entry in trail.page(conn, TrailFilter(until=newest.at), 9, before=2)] == [1]


def test_entries_can_be_neither_changed_nor_deleted(database: Database) -> None:
    fill(database, 2)
    for statement in (update(audit_entries).values(actor="zoe"), delete(audit_entries)):
        with pytest.raises(DBAPIError, match="append-only"), database.write() as conn:
            conn.execute(statement)
    with database.read() as conn:
        assert trail.verify(conn).last.number == 2


@pytest.mark.parametrize(
    ("damage", "broken"),
    [
        ("UPDATE audit_entries SET actor = 'zoe' WHERE number = 2", 2),
        ("DELETE FROM audit_entries WHERE number = 3", 3),
    ],
)
def test_tampering_past_the_triggers_is_found(database: Database, damage: str, broken: int) -> None:
    fill(database, 4)
    with database.write() as conn:
        as_attacker(conn)
        conn.execute(text(damage))
        restore(conn)
    with database.read() as conn:
        assert trail.verify(conn).broken == broken


def test_lost_end_shows_against_a_noted_place(database: Database) -> None:
    fill(database, 4)
    with database.read() as conn:
        noted = trail.head(conn)
    with database.write() as conn:
        as_attacker(conn)
        conn.execute(text("DELETE FROM audit_entries WHERE number > 2"))
        restore(conn)
    with database.read() as conn:
        assert trail.verify(conn).broken is None
        assert trail.verify(conn, noted).broken == 3


def test_concurrent_servers_make_one_chain(database: Database, request: pytest.FixtureRequest) -> None:
    url = database._writer.url.render_as_string(hide_password=False)
    servers = [Database.open(url) for _ in range(3)]

    def write(number: int) -> None:
        with servers[number % 3].write() as conn:
            facts.note(conn, "odd", {}, NOON)
            trail.record(conn, event(number))

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(write, range(90)))
    for server in servers:
        server.close()
    with database.read() as conn:
        assert trail.verify(conn).last.number == 90
        assert trail.verify(conn).broken is None


def test_removed_entries_leave_a_checkpoint_that_verifies(database: Database) -> None:
    fill(database, 10)
    for cut, removed in ((6, 6), (6, 0), (9, 3)):
        with database.write() as conn:
            assert trail.trim(conn, NOON + timedelta(seconds=cut), NOON + timedelta(days=1)) == removed
    with database.read() as conn:
        assert [entry.number for entry in trail.entries(conn)] == [10, 11, 12]
        assert trail.start(conn).number == 9
        assert trail.verify(conn).broken is None
        assert trail.verify(conn, Link(3, "0" * 64)).broken is None  # gone, so it cannot be compared
    with pytest.raises(DBAPIError, match="append-only"), database.write() as conn:
        conn.execute(delete(audit_entries).where(audit_entries.c.number == 10))
    with database.write() as conn:  # all are old now: the checkpoint stays
        trail.trim(conn, NOON + timedelta(days=9), NOON + timedelta(days=9))
    with database.write() as conn:
        assert trail.trim(conn, NOON + timedelta(days=99), NOON + timedelta(days=9)) == 0
    with database.read() as conn:
        assert trail.verify(conn).broken is None and trail.head(conn).number == 13


def test_forged_checkpoint_is_found(database: Database) -> None:
    fill(database, 5)
    with database.write() as conn:
        as_attacker(conn)
        conn.execute(text("DELETE FROM audit_entries WHERE number <= 2"))
        restore(conn)
    with database.read() as conn:
        assert trail.verify(conn).broken == 1


def test_entry_is_written_with_the_change_or_not_at_all(database: Database) -> None:
    with audited(event(action=AuditAction.NOTE_ADDED)) as pending:
        with pytest.raises(ZeroDivisionError), database.write() as conn:
            facts.note(conn, "odd", {}, NOON)
            print(1 / int("0"))
        with database.write() as conn:  # changes nothing
            conn.execute(delete(audit_entries).where(audit_entries.c.number == 77))
        assert not pending.appended
        with database.write() as conn:
            facts.note(conn, "odd", {}, NOON)
            describe(subject="7", kind="mark")
        with database.write() as conn:
            facts.note(conn, "odd", {}, NOON)
    with database.write() as conn:
        facts.note(conn, "odd", {}, NOON)
    describe(subject="nothing is pending")
    with database.read() as conn:
        [entry] = trail.entries(conn)
        assert (entry.action, entry.subject, entry.details) == ("note_added", "7", {"kind": "mark"})


def test_many_requests_of_an_access_become_one_entry(database: Database) -> None:
    with database.write() as conn:
        for second, span in ((0, (0, 2000)), (3, (2100, 5000)), (9, (60_000, 61_000))):
            accesses.extend(conn, event(second, call_id=CALL, subject="cloud"), [span])
        accesses.extend(conn, event(1, call_id=CALL, subject="live_8k-agent"))
    with database.read() as conn:
        assert [row.subject for row in accesses.still_open(conn, CALL, limit=9)] == ["cloud", "live_8k-agent"]
    assert accesses.settle(database, NOON + timedelta(seconds=5)) == 1
    assert accesses.settle(database, NOON + timedelta(hours=1)) == 1
    assert accesses.settle(database, NOON + timedelta(hours=1)) == 0
    with database.read() as conn:
        entries = trail.of_call(conn, CALL, (AuditAction.PLAYED,), 9)
        assert accesses.still_open(conn, limit=9) == [] and trail.verify(conn).broken is None
    assert [entry.subject for entry in entries] == ["cloud", "live_8k-agent"]
    assert entries[0].details == {
        "until": "2026-11-22T12:00:09+00:00", "requests": 3, "sent_ms": [[0, 5000], [60_000, 61_000]],
    }  # fmt: skip


def test_spans_of_an_access_are_bounded(database: Database) -> None:
    with database.write() as conn:
        for number in range(130):
            accesses.extend(conn, event(number), [(number * 1000, number * 1000 + 1 + number)])
    with database.read() as conn:
        [row] = accesses.still_open(conn, limit=1)
    assert len(row.spans) <= 100 and row.spans[0][0] == 0 and row.spans[-1][1] == 129_130
