import asyncio
import sqlite3

import pytest

from callreel.domain.errors import StoreError
from callreel.store.calls import facts
from callreel.store.db.database import Database
from callreel.store.db.write_retry import retry_in_thread
from tests.support.installation import NOON, Installation


async def test_write_is_retried_while_the_database_is_locked(installation: Installation) -> None:
    """Another program holds the write lock for longer than the busy timeout."""
    impatient = Database.open(str(installation.folder / "callreel.db"), busy_timeout_s=0.05)
    holder = sqlite3.connect(installation.folder / "callreel.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    def note() -> int:
        with impatient.write() as conn:
            facts.note(conn, "digit", {"digit": "5"}, NOON)
        return 7

    writing = asyncio.create_task(retry_in_thread("a digit", note))
    await asyncio.sleep(0.3)
    assert not writing.done()
    holder.execute("ROLLBACK")
    assert await writing == 7
    holder.close()
    impatient.close()


async def test_retries_end_after_the_given_time() -> None:
    def refuse() -> None:
        raise StoreError("the disk is full")

    with pytest.raises(StoreError, match="full"):
        await retry_in_thread("nothing", refuse, give_up_s=0.1)


async def test_programming_errors_are_not_retried() -> None:
    tries: list[int] = []

    def wrong() -> None:
        tries.append(1)
        raise LookupError("there is no call")

    with pytest.raises(LookupError):
        await retry_in_thread("nothing", wrong)
    assert len(tries) == 1
