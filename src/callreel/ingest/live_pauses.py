"""Pauses of the live calls of this process: which of their audio is written as silence.

The rows say what is to be (`store/calls/pauses`); a peer message or a local call only makes it fast. A pause takes
effect at the newest audio that has arrived. It ends where people speak now at the latest, which is later than what has
arrived: audio of a paused stretch may still be on its way. Both positions are then stored in the row.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial

from sqlalchemy import Connection

from callreel.audio.samples import SAMPLES_PER_MS
from callreel.cluster.group_commit import GroupCommit, Written
from callreel.domain.errors import CallreelError
from callreel.domain.ids import CallId
from callreel.domain.pause import PauseEnd
from callreel.ingest.call_registry import CallRegistry, LiveCall
from callreel.runtime.clock import Clock
from callreel.runtime.periodic import PeriodicJob
from callreel.store.calls import pauses
from callreel.store.calls.pauses import PauseRow
from callreel.store.db.database import Database

log = logging.getLogger(__name__)

RECONCILE_EVERY_S = 2.0
EXPECT_S = 10.0
"""How long a call stays silent without a row: a pause is announced before the database has taken it."""


def restore(call: LiveCall, rows: Sequence[PauseRow], now_s: float) -> None:
    """Pause a call that this process takes over as its rows say; before any of its audio is placed."""
    for row in rows:
        begin = call.reached if row.start_ms is None else row.start_ms * SAMPLES_PER_MS
        if call.paused.open or (
            row.ended_at is not None and row.end_ms is not None and begin < call.paused.end
        ):
            continue
        call.paused.begin(begin)
        if row.ended_at is not None:
            call.paused.finish(call.spoken(now_s) if row.end_ms is None else row.end_ms * SAMPLES_PER_MS)


class LivePauses:
    """Runs on the event loop that it is made in; `begun` and `changed` on any thread."""

    def __init__(
        self, registry: CallRegistry, database: Database, commits: GroupCommit, clock: Clock
    ) -> None:
        self._registry = registry
        self._database = database
        self._commits = commits
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self.reconciling = PeriodicJob(
            name="pauses",
            job=self.reconcile,
            interval_s=RECONCILE_EVERY_S,
            enabled=lambda: registry.count > 0,
        )

    def begun(self, call_id: CallId, announcement: str) -> None:
        """A call is being paused: silence it at once, if this process has it. Its row may follow."""
        self._loop.call_soon_threadsafe(self._begun, call_id, announcement)

    def changed(self, call_id: CallId, answered: str = "") -> None:
        """A call's pauses changed: read them. `answered` names the announcement whose outcome is in the rows."""
        self._loop.call_soon_threadsafe(self._settle_soon, call_id, answered)

    def said(self, call_id: CallId, at_ms: int, pause: Callable[[], object]) -> None:
        """A phrase that pauses the recording ended at `at_ms` of the live layers: run `pause` in a thread.

        Not if it was said before the end of an earlier pause, which a person may have ended.
        """
        call = self._registry.get(call_id)
        if call is not None and at_ms * SAMPLES_PER_MS > call.paused.end:
            self._run(asyncio.to_thread(pause))

    async def reconcile(self) -> None:
        """Reconcile with the rows in case a message was missed or the database was away. Raises StoreError."""
        rows = await asyncio.to_thread(self._unplaced)
        silent = {call.id for call in self._registry if call.paused.open}  # perhaps without a row
        for call_id in silent | {row.call_id for row in rows}:
            await self._settle(call_id)

    async def close(self) -> None:
        """Wait for what is being stored."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begun(self, call_id: CallId, announcement: str) -> None:
        call = self._registry.get(call_id)
        if call is None:
            return
        if not call.paused.open:
            call.paused.begin(call.reached)
        # Also where it is silent already: the pause of that silence may have ended, or have failed.
        call.announcement, call.pause_expected_until_s = announcement, self._clock.monotonic_s() + EXPECT_S
        self._loop.call_later(EXPECT_S, self._settle_soon, call_id)
        self._settle_soon(call_id)

    def _settle_soon(self, call_id: CallId, answered: str = "") -> None:
        if self._registry.get(call_id) is not None:
            self._run(self._settle(call_id, answered))

    def _run(self, work: Coroutine[object, object, object]) -> None:
        task = asyncio.create_task(self._logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _logged(self, work: Coroutine[object, object, object]) -> None:
        try:
            await work
        except CallreelError as error:
            log.error("pause not stored: %s", error)  # `reconcile` tries again

    async def _settle(self, call_id: CallId, answered: str = "") -> None:
        """Make a call's silence what its rows say, and store where it lies.

        What else changed the rows, such as a resume, leaves an announcement as it is: it may be of a newer pause.
        """
        call = self._registry.get(call_id)
        if call is None:
            return
        async with call.pause_lock:
            if answered and call.announcement == answered:
                call.pause_expected_until_s = 0.0
            rows = await asyncio.to_thread(self._of_call, call_id)
            if self._registry.get(call_id) is not call or not call.lanes:
                return  # `reconcile` comes back while the call is silent
            now_s = self._clock.monotonic_s()
            if rows and rows[-1].ended_at is None:
                if not call.paused.open:
                    call.paused.begin(call.reached)
            elif now_s < call.pause_expected_until_s:
                return
            elif call.paused.open:
                call.paused.finish(call.spoken(now_s))
            for row in rows:
                start_ms, end_ms = _place(call, row)
                if (start_ms, end_ms) != (row.start_ms, row.end_ms):
                    await self._commits.commit(partial(_store, row.id, start_ms, end_ms), call.leg_sid)

    def _of_call(self, call_id: CallId) -> list[PauseRow]:
        with self._database.read() as conn:
            return pauses.of_call(conn, call_id)

    def _unplaced(self) -> list[PauseRow]:
        with self._database.read() as conn:
            return pauses.unplaced(conn)


def _place(call: LiveCall, row: PauseRow) -> tuple[int, int | None]:
    """Where a pause lies in the live layers, in ms; a known position stays."""
    stretches = call.paused.stretches
    start_ms, end_ms = row.start_ms, row.end_ms
    if start_ms is None:
        start_ms = (stretches[-1][0] if stretches else call.reached) // SAMPLES_PER_MS
    if end_ms is None and row.ended_at is not None and row.ended_by is not PauseEnd.CALL:
        end = call.reached if call.paused.open or not stretches else call.paused.end
        end_ms = max(start_ms, -(-end // SAMPLES_PER_MS))
    return start_ms, end_ms


def _store(pause_id: int, start_ms: int, end_ms: int | None, conn: Connection) -> Written:
    row = pauses.get(conn, pause_id)
    if row is not None and (row.start_ms, row.end_ms) == (start_ms, end_ms):
        return Written()  # another message about the same pause was faster
    row = pauses.change(conn, pause_id, start_ms=start_ms, end_ms=end_ms)
    return Written((row.event,) if row is not None else ())
