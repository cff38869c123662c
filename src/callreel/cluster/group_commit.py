"""Group commit: many small writes in few transactions.

A commit costs a disk sync however much it holds. So writes that arrive while a commit is under way go into the next one
together: each waits for two commits at most, and its caller continues only after its own. A write that fails takes no
other with it: the writes of its group are then repeated in a transaction each. Only where the database itself fails do
all writes of the group fail.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.errors import StoreError
from callreel.domain.events import LiveEvent
from callreel.runtime.thread_pool import ThreadPool
from callreel.store.db.database import Database

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_GROUP = 100
"""Writes in one transaction. Other writers wait meanwhile: about 50 ms."""


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of a write: lasting events, recorded in its transaction and published after it, and follow-up work."""

    events: tuple[LiveEvent, ...] = ()
    after_commit: tuple[Callable[[], None], ...] = ()


Write = Callable[[Connection], Written]
"""Runs in a transaction, and again in another when the first was rolled back: it must have no effect but on the rows."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    order: str
    write: Write
    outcome: asyncio.Future[None]


class GroupCommit:
    """One per process. `commit` from one event loop; `commit_blocking` from any thread, for a transaction of its own."""

    def __init__(self, database: Database, publisher: EventPublisher) -> None:
        self.database = database
        self._publisher = publisher
        self._waiting: deque[_Waiting] = deque()
        self._committing: asyncio.Task[None] | None = None
        # A thread of its own: callbacks never wait for the threads that pages, live updates and password checks share.
        self._thread = ThreadPool(1, "group commit")

    async def commit(self, write: Write, order: str = "") -> None:
        """Return once `write` is committed. Raises what it raised, StoreError where the database failed.

        Writes of one group run in the order of `order`, then of arrival: two servers whose groups touch the same rows
        in different orders would deadlock. A cancelled caller stops waiting; its write is committed all the same.
        """
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(order, write, outcome))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all())
        await outcome

    async def commit_returning(self, write: Callable[[Connection], tuple[T, Written]], order: str = "") -> T:
        """The same for a write with a result: that of the run that was committed."""
        results: list[T] = []

        def keep(conn: Connection) -> Written:
            result, written = write(conn)
            results[:] = [result]
            return written

        await self.commit(keep, order)
        return results[0]

    def commit_blocking(self, write: Write) -> None:
        (error,) = self._write([write])
        if error is not None:
            raise error

    async def _commit_all(self) -> None:
        try:
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(MAX_GROUP, len(self._waiting)))]
                group.sort(key=lambda waiting: waiting.order)
                writes = [waiting.write for waiting in group]
                errors = await self._thread.run(self._write, writes)
                for waiting, error in zip(group, errors, strict=True):
                    if waiting.outcome.done():
                        continue  # its caller was cancelled
                    if error is None:
                        waiting.outcome.set_result(None)
                    else:
                        waiting.outcome.set_exception(error)
        finally:
            self._committing = None

    def _write(self, writes: Sequence[Write]) -> list[Exception | None]:
        """The outcome of each."""
        try:
            with self.database.write() as conn:
                written = [write(conn) for write in writes]
                # Last, and of all: a transaction with an event holds back every other one with an event
                # (`store/calls/live_events`).
                events = self._publisher.record_all(conn, [event for one in written for event in one.events])
        except StoreError as error:
            return [error] * len(writes)  # one by one would only wait for the same database again
        except Exception as error:
            if len(writes) == 1:
                return [error]
            return [outcome for write in writes for outcome in self._write([write])]
        self._publisher.publish(*events)
        # A function that several writes name runs once.
        for follow_up in dict.fromkeys(work for one in written for work in one.after_commit):
            try:
                follow_up()
            except Exception:
                log.exception("work after a commit failed")  # the write is committed: its outcome stays
        return [None] * len(writes)
