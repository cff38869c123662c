"""Starting the stages for what the carrier told, from the rows themselves.

The row is the order to work: a callback's transaction stores it, and this loop starts the workflow afterwards, at once
when woken and in any case every few seconds. A crash between the two loses nothing, and starting twice starts once.
"""

import asyncio
import logging

from callreel.domain.ids import RecordingSid
from callreel.domain.recording import CloudState
from callreel.postcall.durable import Durable, workflow_id
from callreel.runtime.clock import Clock
from callreel.store.calls import recordings
from callreel.store.calls.recordings import RecordingRow
from callreel.store.db.database import Database

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 2.0
_AFTER = {CloudState.COMPLETED: (CloudState.COMPLETED, CloudState.STORED, CloudState.PARKED)}
"""States that the stages themselves may have reached before the start was marked."""

FETCH_WORKFLOW = "fetch"
TRANSCRIBE_WORKFLOW = "transcribe"
JUDGE_WORKFLOW = "judge"
NONE_WORKFLOW = "no-recording"
WHOLE_WORKFLOW = "recording"
"""All stages in one, as versions before 0.2 began them: what they began is finished so."""
_WORKFLOWS = (FETCH_WORKFLOW, TRANSCRIBE_WORKFLOW, JUDGE_WORKFLOW, NONE_WORKFLOW, WHOLE_WORKFLOW)


def workflow_key(row: RecordingRow) -> str:
    """What names a run of the stages: the recording, and which retry it is."""
    return row.sid if row.retries == 0 else f"{row.sid}#{row.retries}"


def workflow_ids(row: RecordingRow) -> set[str]:
    """What the durable engine may know the present run of a recording's stages by."""
    return {workflow_id(name, workflow_key(row)) for name in _WORKFLOWS}


def recording_of(key: str) -> RecordingSid:
    """The recording that a workflow's key names."""
    return RecordingSid(key.partition("#")[0])


class Dispatcher:
    """One task; `wake` from any thread."""

    def __init__(self, database: Database, durable: Durable, clock: Clock) -> None:
        self._database = database
        self._durable = durable
        self._clock = clock
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def wake(self) -> None:
        """Look now. Safe from any thread; before `run` it does nothing, since `run` begins with a look."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._woken.set)

    async def run(self) -> None:
        """Until cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._woken.clear()
            try:
                await asyncio.to_thread(self.sweep)
            except Exception:
                log.exception("starting the stages failed; trying again")
            try:
                async with asyncio.timeout(SWEEP_EVERY_S):
                    await self._woken.wait()
            except TimeoutError:
                pass

    def sweep(self) -> int:
        """Start what is not started; answers how many. Blocking."""
        with self._database.read() as conn:
            waiting = recordings.undispatched(conn)
        for row in waiting:
            there = row.state in (CloudState.COMPLETED, CloudState.STORED)
            self._durable.start(FETCH_WORKFLOW if there else NONE_WORKFLOW, workflow_key(row))
            self._mark(row)
        return len(waiting)

    def _mark(self, row: RecordingRow) -> None:
        with self._database.write() as conn:
            now_known = recordings.get(conn, row.sid)
            # A callback may have changed the state meanwhile; then the next look starts what fits it.
            same = now_known is not None and workflow_key(now_known) == workflow_key(row)
            if same and now_known is not None and now_known.state in _AFTER.get(row.state, (row.state,)):
                recordings.mark_dispatched(conn, row.sid, self._clock.now())
