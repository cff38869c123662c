"""Limits on failed attempts as rows, on both databases, also when many attempts arrive together."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import select

from callreel.store.db.database import Database
from callreel.store.db.tables import attempts as table
from callreel.store.people import attempts
from callreel.store.people.attempts import AttemptLimit
from tests.support.rows import NOON, after

THREE = AttemptLimit("three", 3, window_s=60)


def test_limit_waits_until_its_oldest_failure_is_past(database: Database) -> None:
    with database.write() as conn:
        for second in (0, 10, 20):
            assert attempts.begin(conn, THREE, "ada", after(second)) == 0
        assert attempts.begin(conn, THREE, "ada", after(30)) == 30
        assert attempts.begin(conn, THREE, "bob", after(30)) == 0
        assert attempts.begin(conn, AttemptLimit("other", 3), "ada", after(30)) == 0
        assert attempts.begin(conn, THREE, "ada", after(60)) == 0
        assert attempts.begin(conn, THREE, "ada", after(61)) == 9


def test_success_takes_back_its_attempt_or_all(database: Database) -> None:
    one, all_of = AttemptLimit("one", 2), AttemptLimit("all", 2, resets=True)
    with database.write() as conn:
        for limit in (one, all_of):
            for second in (0, 1):
                assert attempts.begin(conn, limit, "ada", after(second)) == 0
        assert [attempts.succeeded(conn, limit, "ada", after(1)) for limit in (one, all_of)] == [1, 0]
        assert attempts.succeeded(conn, one, "ada", after(0)) == 0
        assert conn.execute(select(table)).all() == []


def test_expired_failures_are_removed(database: Database) -> None:
    with database.write() as conn:
        attempts.begin(conn, THREE, "old", NOON)
        attempts.begin(conn, THREE, "new", after(30))
        attempts.remove_expired(conn, NOON + timedelta(seconds=60))
        assert conn.execute(select(table.c.key)).scalars().all() == ["three new"]


def test_attempts_that_arrive_together_do_not_pass(database: Database) -> None:
    def attempt(number: int) -> float:
        with database.write() as conn:
            return attempts.begin(conn, THREE, "ada", after(number / 1000))

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(attempt, range(24)))[:4].count(0) == 3
