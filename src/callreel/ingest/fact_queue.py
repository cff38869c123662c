"""Facts that the carrier sends beside audio (digits, marks, unknown messages), stored without capture waiting for them.

A fact waits in memory until the database takes it, with the same retries as the end of a stream. Audio never waits for
a fact, and a fact that cannot be stored ends no stream.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from callreel.cluster.group_commit import GroupCommit, Written
from callreel.domain.ids import CallId, LegSid
from callreel.runtime.clock import Clock
from callreel.runtime.counters import Counters
from callreel.store.calls import facts
from callreel.store.db.write_retry import SHUT_DOWN_S, retry_until_stored

log = logging.getLogger(__name__)

MAX_WAITING = 1_000


@dataclass(frozen=True, slots=True)
class _Fact:
    call_id: CallId
    leg_sid: LegSid
    kind: str
    data: Mapping[str, str]
    at: datetime


class FactQueue:
    """Stores facts in the order of arrival. Runs on the event loop.

    While `MAX_WAITING` facts wait, further ones are dropped and counted as `facts_dropped`.
    """

    def __init__(self, commits: GroupCommit, clock: Clock, counters: Counters) -> None:
        self._commits = commits
        self._clock = clock
        self._counters = counters
        self._waiting: deque[_Fact] = deque()
        self._storing: asyncio.Task[None] | None = None

    def put(self, call_id: CallId, leg_sid: LegSid, kind: str, data: Mapping[str, str]) -> None:
        """Store a fact about a call as soon as the database takes it. Never blocks, never raises."""
        if len(self._waiting) >= MAX_WAITING:
            self._counters.add("facts_dropped")
            return
        self._waiting.append(_Fact(call_id, leg_sid, kind, data, self._clock.now()))
        if self._storing is None:
            self._storing = asyncio.create_task(self._store_all(), name="facts")

    async def close(self) -> None:
        """Store what waits, for `SHUT_DOWN_S` at most."""
        if self._storing is None:
            return
        _, late = await asyncio.wait({self._storing}, timeout=SHUT_DOWN_S)
        for task in late:
            log.error("facts lost: the database does not take them", extra={"facts": len(self._waiting)})
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _store_all(self) -> None:
        try:
            while self._waiting:
                await self._store(self._waiting[0])
                self._waiting.popleft()
        finally:
            self._storing = None

    async def _store(self, fact: _Fact) -> None:
        def save(conn: Connection) -> Written:
            facts.note(conn, fact.kind, fact.data, fact.at, fact.call_id)
            return Written()

        try:
            await retry_until_stored("fact", lambda: self._commits.commit(save, fact.leg_sid))
        except Exception:
            # Its content or its call is at fault (erased meanwhile, say): trying again would block those behind it.
            log.exception("fact dropped", extra={"call_id": fact.call_id, "kind": fact.kind})
            self._counters.add("facts_dropped")
