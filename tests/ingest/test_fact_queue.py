"""Facts beside audio: they wait for the database, within a bound, and never block their producers."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection

from callreel.cluster.event_bus import EventBus
from callreel.cluster.event_publisher import EventPublisher
from callreel.cluster.group_commit import GroupCommit
from callreel.domain.errors import StoreError
from callreel.domain.ids import CallId, LegSid
from callreel.ingest import fact_queue
from callreel.ingest.fact_queue import FactQueue
from callreel.runtime.counters import Counters
from callreel.store.calls import facts
from callreel.store.db.database import Database
from tests.support.installation import Installation, SteppedClock, a_call, eventually
from tests.support.streams import CALL


class FailingDatabase(Database):
    """Refuses transactions while `failing`."""

    @classmethod
    def of(cls, database: Database) -> "FailingDatabase":
        made = cls(database._writer, database._reader, database._busy_timeout_s)
        made.failing = True
        return made

    failing: bool

    @contextmanager
    def write(self) -> Iterator[Connection]:
        if self.failing:
            raise StoreError("the database failed: server closed the connection")
        with super().write() as conn:
            yield conn


def stored(installation: Installation) -> list[dict[str, object]]:
    with installation.database.read() as conn:
        return [dict(fact.data) for fact in facts.of_call(conn, CALL)]


def queue(installation: Installation, database: Database, counters: Counters | None = None) -> FactQueue:
    commits = GroupCommit(database, installation.publisher)
    return FactQueue(commits, installation.clock, counters or Counters())


async def test_facts_wait_for_an_unavailable_database_in_order(installation: Installation) -> None:
    call = a_call(installation)
    database = FailingDatabase.of(installation.database)
    waiting = queue(installation, database)
    for digit in "123":
        waiting.put(call.id, LegSid(call.leg_sid), "digit", {"digit": digit})
    await eventually(lambda: waiting._storing is not None)
    assert stored(installation) == []
    database.failing = False
    await eventually(lambda: len(stored(installation)) == 3)
    assert [fact["digit"] for fact in stored(installation)] == ["1", "2", "3"]
    await waiting.close()


async def test_full_queue_drops_and_counts(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fact_queue, "MAX_WAITING", 2)
    monkeypatch.setattr(fact_queue, "SHUT_DOWN_S", 0.0)
    call, counters = a_call(installation), Counters()
    waiting = queue(installation, FailingDatabase.of(installation.database), counters)
    for digit in "1234":
        waiting.put(call.id, LegSid(call.leg_sid), "digit", {"digit": digit})
    assert counters.snapshot() == {"facts_dropped": 2}
    await waiting.close()


async def test_fact_that_no_retry_can_store_does_not_block_the_next(installation: Installation) -> None:
    call, counters = a_call(installation), Counters()
    waiting = queue(installation, installation.database, counters)
    waiting.put(CallId("ffffffffffff"), LegSid(call.leg_sid), "mark", {"name": "of no call"})
    waiting.put(call.id, LegSid(call.leg_sid), "mark", {"name": "of this call"})
    await waiting.close()
    assert stored(installation) == [{"name": "of this call"}]
    assert counters.snapshot() == {"facts_dropped": 1}


async def test_characters_that_databases_refuse_are_removed(
    database: Database, installation: Installation
) -> None:
    """On SQLite and PostgreSQL: NUL, and half of a surrogate pair."""
    publisher = EventPublisher(database, EventBus(), SteppedClock())
    waiting = FactQueue(GroupCommit(database, publisher), SteppedClock(), Counters())
    here = Installation(
        installation.folder, database, installation.blobs, installation.bus, publisher,
        GroupCommit(database, publisher), installation.clock,
    )  # fmt: skip
    call = a_call(here)
    waiting.put(call.id, LegSid(call.leg_sid), "mark", {"name": "a\0b\ud83dc"})
    await waiting.close()
    assert stored(here) == [{"name": "abc"}]
