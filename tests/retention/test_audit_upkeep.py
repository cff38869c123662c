"""The audit trail's own jobs: ended accesses, old entries, the newest entry in the log, changed settings."""

import logging
from datetime import timedelta

import pytest

from callreel.domain.audit import AuditAction, AuditEvent
from callreel.retention.audit_upkeep import AuditUpkeep
from callreel.store.audit import accesses, trail
from callreel.store.db.database import Database
from tests.support.installation import SteppedClock
from tests.support.rows import audit_entries


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


def played(database: Database, clock: SteppedClock) -> None:
    with database.write() as conn:
        accesses.extend(conn, AuditEvent(clock.now(), AuditAction.PLAYED, "sam"), [(0, 900)])


def test_access_becomes_an_entry_after_its_last_request(database: Database, clock: SteppedClock) -> None:
    upkeep = AuditUpkeep(database, clock, days=None)
    played(database, clock)
    clock.step(300)
    played(database, clock)
    clock.step(accesses.OPEN_FOR.total_seconds())
    upkeep.run()
    assert audit_entries(database) == [], "not longer than it stays open"
    clock.step(1)
    upkeep.run()
    upkeep.run()
    [entry] = audit_entries(database)
    assert (entry.action, entry.details["requests"]) == ("played", 2)
    assert entry.at == clock.now() - accesses.OPEN_FOR - timedelta(seconds=301)


def test_old_entries_go_after_a_checkpoint(database: Database, clock: SteppedClock) -> None:
    for day in range(3):
        with database.write() as conn:
            trail.record(conn, AuditEvent(clock.now(), AuditAction.SIGNED_IN, f"person {day}"))
        clock.step(86_400)
    AuditUpkeep(database, clock, days=None).run()
    assert len(audit_entries(database)) == 3, "kept for ever unless days are set"
    AuditUpkeep(database, clock, days=2).run()
    kept = audit_entries(database)
    assert [(entry.action, entry.actor) for entry in kept] == [
        ("signed_in", "person 1"), ("signed_in", "person 2"), ("trail_trimmed", "policy"),
    ]  # fmt: skip


def test_newest_entry_is_logged_once_a_day(
    database: Database, clock: SteppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    with database.write() as conn:
        entry = trail.record(conn, AuditEvent(clock.now(), AuditAction.SIGNED_IN, "sam"))
    upkeep = AuditUpkeep(database, clock, days=None)
    with caplog.at_level(logging.INFO, "callreel.retention.audit_upkeep"):
        for _ in range(25):
            upkeep.run()
            clock.step(3600)
    assert caplog.messages == [f"audit trail newest=1:{entry.digest}"] * 2


def test_settings_are_recorded_when_they_differ_from_the_last_start(
    database: Database, clock: SteppedClock
) -> None:
    upkeep = AuditUpkeep(database, clock, days=None)
    first, second = {"redaction": "off", "port": "8080"}, {"redaction": "keep_both", "log_level": "debug"}
    for settings in (first, first, second, second):
        upkeep.compare_settings(settings)
    assert [entry.details for entry in audit_entries(database)] == [
        {"changed": ["port", "redaction"], "settings": first},
        {"changed": ["log_level", "port", "redaction"], "settings": second},
    ]
