from collections.abc import Iterator

import pytest
from sqlalchemy import text

from callreel.cluster.heartbeat import DEAD_AFTER_S, Heartbeat
from callreel.domain.errors import StoreError
from callreel.store.db.database import Database
from tests.support.installation import SteppedClock
from tests.support.postgres import PostgresServer, postgres_server


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.fixture
def database(server: PostgresServer) -> Iterator[Database]:
    opened = Database.open(server.new_url())
    opened.migrate()
    yield opened
    opened.close()


def age_rows(database: Database, seconds: float) -> None:
    """As if every heartbeat were so much older: the clock of the database decides."""
    with database.write() as conn:
        conn.execute(text(f"UPDATE processes SET heartbeat_at = heartbeat_at - interval '{seconds} seconds'"))


def test_no_process_is_judged_before_one_whole_timeout(database: Database) -> None:
    clock = SteppedClock()
    one = Heartbeat(database, "one", "worker", clock)
    assert one.alive() is None
    one.beat()
    clock.step(DEAD_AFTER_S - 1)
    assert one.alive() is None
    clock.step(1)
    assert one.alive() == {"one"}


def test_process_without_a_heartbeat_is_dead(database: Database) -> None:
    clock = SteppedClock()
    one, two = (Heartbeat(database, name, "worker", clock) for name in ("one", "two"))
    one.beat()
    two.beat()
    clock.step(DEAD_AFTER_S)
    one.beat()
    assert one.alive() == {"one", "two"}
    age_rows(database, DEAD_AFTER_S + 1)
    one.beat()
    assert one.alive() == {"one"}
    two.leave()
    assert one.alive() == {"one"}


def test_process_that_left_is_dead_at_once(database: Database) -> None:
    clock = SteppedClock()
    one, two = (Heartbeat(database, name, "worker", clock) for name in ("one", "two"))
    one.beat()
    two.beat()
    asked = {"one", "two", "gone"}
    assert one.dead(asked) == {"gone"}
    clock.step(DEAD_AFTER_S)
    age_rows(database, DEAD_AFTER_S + 1)
    one.beat()
    assert one.dead(asked) == {"gone", "two"}


def test_failure_detection_is_suspended_after_an_outage(server: PostgresServer, database: Database) -> None:
    clock = SteppedClock()
    one, two = (Heartbeat(database, name, "worker", clock) for name in ("one", "two"))
    one.beat()
    two.beat()
    clock.step(DEAD_AFTER_S)
    assert one.alive() == {"one", "two"}
    server.stop()
    with pytest.raises(StoreError):
        one.beat()
    server.start()
    clock.step(DEAD_AFTER_S + 1)
    age_rows(database, DEAD_AFTER_S + 1)
    one.beat()
    assert one.alive() is None, "two looks dead, as everybody does now"
    two.beat()
    clock.step(DEAD_AFTER_S)
    assert one.alive() == {"one", "two"}
