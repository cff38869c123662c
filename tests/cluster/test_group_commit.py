import asyncio
import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, select

from callreel.cluster.group_commit import GroupCommit, Write, Written
from callreel.domain.errors import StoreError
from callreel.domain.events import EventKind, LiveEvent
from callreel.store.calls import facts
from callreel.store.db.database import Database
from callreel.store.db.tables import facts as fact_table
from tests.support.installation import NOON, Installation, a_call


class CountedDatabase(Database):
    """Counts its transactions; while `gate` is closed none begins."""

    @classmethod
    def of(cls, database: Database) -> "CountedDatabase":
        counted = cls(database._writer, database._reader, database._busy_timeout_s)
        counted.commits = 0
        counted.gate = threading.Event()
        counted.gate.set()
        counted.failing = False
        return counted

    commits: int
    gate: threading.Event
    failing: bool

    def write(self):  # type: ignore[no-untyped-def]
        self.gate.wait(10)
        self.commits += 1
        if self.failing:
            raise StoreError("the database failed: database or disk is full")
        return super().write()


def note(kind: str, then: Callable[[], None] | None = None) -> Write:
    def write(conn: Connection) -> Written:
        facts.note(conn, kind, {}, NOON)
        return Written(after_commit=(then,) if then else ())

    return write


def kept(installation: Installation) -> list[str]:
    with installation.database.read() as conn:
        return list(conn.execute(select(fact_table.c.kind).order_by(fact_table.c.id)).scalars())


async def all_of(
    commits: GroupCommit, database: CountedDatabase, *writes: Write
) -> list[BaseException | None]:
    """The outcomes of writes that all come while a first one is being committed."""
    database.gate.clear()
    first = asyncio.create_task(commits.commit(note("first")))
    await asyncio.sleep(0)
    others = [asyncio.create_task(commits.commit(write)) for write in writes]
    await asyncio.sleep(0)
    database.gate.set()
    await first
    return await asyncio.gather(*others, return_exceptions=True)


async def test_writes_that_wait_share_the_next_commit(installation: Installation) -> None:
    database = CountedDatabase.of(installation.database)
    commits, woken = GroupCommit(database, installation.publisher), list[int]()

    def wake() -> None:
        woken.append(len(kept(installation)))

    writes = [note(f"fact {n}", wake) for n in range(40)]
    assert await all_of(commits, database, *writes) == [None] * 40
    assert database.commits == 2
    assert kept(installation) == ["first", *(f"fact {n}" for n in range(40))]
    assert woken == [41], "once, and after the commit"


async def test_failed_write_fails_alone(installation: Installation) -> None:
    database = CountedDatabase.of(installation.database)
    commits = GroupCommit(database, installation.publisher)

    def bad(conn: Connection) -> Written:
        facts.note(conn, "half", {}, NOON)
        raise LookupError("there is no such call")

    outcomes = await all_of(commits, database, note("one"), bad, note("two"))
    assert [type(outcome) for outcome in outcomes] == [type(None), LookupError, type(None)]
    assert kept(installation) == ["first", "one", "two"]


async def test_failed_database_fails_every_write(installation: Installation) -> None:
    database = CountedDatabase.of(installation.database)
    commits = GroupCommit(database, installation.publisher)
    database.failing = True
    tasks = [asyncio.create_task(commits.commit(note(f"fact {n}"))) for n in range(30)]
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    database.failing = False
    await commits.commit(note("after it recovered"))
    assert {type(outcome) for outcome in outcomes} == {StoreError}
    assert database.commits <= 3, "not one try for each"
    assert kept(installation) == ["after it recovered"]


async def test_events_are_published_after_the_commit_in_order(installation: Installation) -> None:
    call = a_call(installation)
    commits = GroupCommit(installation.database, installation.publisher)

    def report(status: str) -> Write:
        event = LiveEvent(call.id, EventKind.CALL, {"status": status})
        return lambda conn: Written((event,))

    await asyncio.gather(
        *(commits.commit(report(status)) for status in ("ringing", "in-progress", "completed"))
    )

    published = [event for event in installation.published if "status" in event.data]
    assert [event.data["status"] for event in published] == ["ringing", "in-progress", "completed"]
    assert installation.stored_events()[-3:] == published


async def test_write_of_a_cancelled_caller_is_committed(installation: Installation) -> None:
    database = CountedDatabase.of(installation.database)
    commits = GroupCommit(database, installation.publisher)

    database.gate.clear()
    gone = asyncio.create_task(commits.commit(note("gone")))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    database.gate.set()
    await commits.commit(note("next"))

    assert kept(installation) == ["gone", "next"]


async def test_writes_of_a_group_run_in_their_order(installation: Installation) -> None:
    """Otherwise two servers whose groups change the same rows could deadlock."""
    database = CountedDatabase.of(installation.database)
    commits = GroupCommit(database, installation.publisher)

    database.gate.clear()
    first = asyncio.create_task(commits.commit(note("first")))
    await asyncio.sleep(0)
    others = [asyncio.create_task(commits.commit(note(name), order=name)) for name in "cab"]
    await asyncio.sleep(0)
    database.gate.set()
    await asyncio.gather(first, *others)

    assert kept(installation) == ["first", "a", "b", "c"]
