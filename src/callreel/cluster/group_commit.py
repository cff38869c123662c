"""Many small writes in few transactions: what waits while one commit is on its way goes into the next, together.

A commit costs a sync of the disk however much is in it. So each of many callbacks at once waits for two commits at
most, and is answered only after its own. A write that fails takes none of the others with it: then each has a
transaction of its own. Only where the database itself is what failed, all that were in it fail.
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
from callreel.store.db.database import Database

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST = 100
"""Writes in one transaction. Whoever else writes waits meanwhile: about 50 ms."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a write came to: lasting events, which are kept last and told once it is committed, and what is done then."""

    events: tuple[LiveEvent, ...] = ()
    after_commit: tuple[Callable[[], None], ...] = ()


Write = Callable[[Connection], Written]
"""Runs within a transaction, again in another when one it shared was rolled back: no effects but on the rows."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    order: str
    write: Write
    outcome: asyncio.Future[None]


class GroupCommit:
    """`commit` from one event loop; `commit_blocking` from any thread, for one write by itself."""

    def __init__(self, database: Database, publisher: EventPublisher) -> None:
        self._database = database
        self._publisher = publisher
        self._waiting: deque[_Waiting] = deque()
        self._emptying: asyncio.Task[None] | None = None

    async def commit(self, write: Write, order: str = "") -> None:
        """Returns once `write` is committed. Raises what it raised, StoreError where the database failed.

        Writes of one group run in the order of `order`, then of coming: two servers whose groups touch the same rows
        then never wait for each other in a ring. A caller that is cancelled no longer waits; its write is done.
        """
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(order, write, outcome))
        if self._emptying is None:
            self._emptying = asyncio.create_task(self._empty())
        await outcome

    async def commit_returning(self, write: Callable[[Connection], tuple[T, Written]], order: str = "") -> T:
        """The same for a write that finds something out besides: what it answered where it was committed."""
        answers: list[T] = []

        def keep(conn: Connection) -> Written:
            answer, written = write(conn)
            answers[:] = [answer]
            return written

        await self.commit(keep, order)
        return answers[0]

    async def _empty(self) -> None:
        try:
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
                group.sort(key=lambda waiting: waiting.order)
                errors = await asyncio.to_thread(self._write, [waiting.write for waiting in group])
                for waiting, error in zip(group, errors, strict=True):
                    _settle(waiting.outcome, error)
        finally:
            self._emptying = None

    def commit_blocking(self, write: Write) -> None:
        """One write in a transaction of its own. Blocking."""
        (error,) = self._write([write])
        if error is not None:
            raise error

    def _write(self, writes: Sequence[Write]) -> list[Exception | None]:
        """The outcome of each."""
        try:
            written, events = self._commit(writes)
        except StoreError as error:
            return [error] * len(writes)  # one by one would only wait for the same database again
        except Exception as error:
            if len(writes) == 1:
                return [error]
            return [outcome for write in writes for outcome in self._write([write])]
        self._publisher.publish(*events)
        for then in dict.fromkeys(
            then for one in written for then in one.after_commit
        ):  # waking once is enough
            _finally(then)
        return [None] * len(writes)

    def _commit(self, writes: Sequence[Write]) -> tuple[list[Written], list[LiveEvent]]:
        with self._database.write() as conn:
            written = [write(conn) for write in writes]
            # Last, and of all: an event holds back every other transaction that has one (`store/live_events`).
            events = self._publisher.record_all(conn, [event for one in written for event in one.events])
        return written, events


def _settle(outcome: asyncio.Future[None], error: Exception | None) -> None:
    if outcome.done():
        return  # nobody waits for it any more
    if error is None:
        outcome.set_result(None)
    else:
        outcome.set_exception(error)


def _finally(then: Callable[[], None]) -> None:
    """The write is committed: what comes of it afterwards no longer changes its answer."""
    try:
        then()
    except Exception:
        log.exception("something that follows a committed write failed")
