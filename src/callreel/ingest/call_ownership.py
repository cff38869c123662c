"""Which process owns a call, and when the call ends.

A call's row names its owner: first the process that answered the carrier, then the one that has the call's media
socket. The owner ends the call: when the carrier reports that the parent leg is over, or when no stream came back in
time. A report reaches the owner over the event relay; one that was lost the owner finds in the rows. Every change of
owner and every end is one conditional statement, so of two processes that act at once exactly one succeeds.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from callreel.cluster.group_commit import GroupCommit, Written
from callreel.domain.call import CallState
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId, LegSid, StreamSid
from callreel.domain.pause import PauseEnd
from callreel.ingest.call_registry import CallRegistry, CaptureOptions, LiveCall, LiveStream, Transcription
from callreel.ingest.handover import StartingPoint, new_starting_point, starting_point
from callreel.ingest.stream_restart import MAX_RESTARTS
from callreel.runtime.clock import Clock
from callreel.runtime.periodic import PeriodicJob
from callreel.runtime.secret_tokens import token_hash
from callreel.store.calls import callbacks, calls, consents, legs, pauses, stream_tokens, streams
from callreel.store.calls.calls import CallRow
from callreel.store.calls.pauses import PauseRow
from callreel.store.calls.streams import EndedBy
from callreel.store.db.database import Database
from callreel.store.db.write_retry import SHUT_DOWN_S, retry_in_thread, retry_until_stored

log = logging.getLogger(__name__)

STREAM_STOPPED = "stream-stopped"
RECONCILE_EVERY_S = 5.0
ADMIT_S = 60.0
"""How long the start of a stream waits for an unavailable database; its audio waits unread in the socket meanwhile."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A call that a stream may join. `is_new`: it had no stream in any process. `taken_over`: another process owned it."""

    row: CallRow
    is_new: bool
    taken_over: bool
    pauses: tuple[PauseRow, ...] = ()


def end_call(conn: Connection, call_id: CallId, at: datetime, *, owner: str | None) -> Written | None:
    """Mark a call that `owner` has as ended; None when it had ended before, or has another owner."""
    if not calls.end(conn, call_id, at, owner):
        return None
    events = [LiveEvent(call_id, EventKind.CALL, {"state": CallState.ENDED})]
    if (paused := pauses.end(conn, call_id, PauseEnd.CALL, at)) is not None:
        events.insert(0, paused.event)
    return Written(tuple(events), (partial(log.info, "call ended", extra={"call_id": call_id}),))


class CallOwnership:
    """Runs on the event loop that it is made in; `leg_ended`, `stream_stopped` and `taken_elsewhere` on any thread."""

    def __init__(
        self,
        registry: CallRegistry,
        database: Database,
        commits: GroupCommit,
        clock: Clock,
        transcription: Transcription,
        options: CaptureOptions,
        *,
        request_stream: Callable[[CallId, LegSid], bool] | None = None,
        announce_taken: Callable[[CallId], None] = lambda call_id: None,
    ) -> None:
        """`request_stream` (blocking) gets a new stream for a call whose socket died; None leaves such calls alone.

        `announce_taken` notifies other processes that this one took over a call of one of them.
        """
        self._registry = registry
        self._database = database
        self._commits = commits
        self._clock = clock
        self._transcription = transcription
        self._options = options
        self._request_stream = request_stream
        self._announce_taken = announce_taken
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._handovers: set[asyncio.Task[None]] = set()
        self.reconciling = PeriodicJob(
            name="call ownership", job=self.reconcile, interval_s=RECONCILE_EVERY_S
        )

    async def claim(self, token: str, leg_sid: LegSid) -> Claim | None:
        """Redeem a stream's token and own its call; None if the stream may not begin."""

        def write(conn: Connection) -> tuple[Claim | None, Written]:
            call_id = stream_tokens.redeem(conn, token_hash(token), leg_sid, self._clock.now())
            row = calls.get(conn, call_id) if call_id else None
            # A stream after the call's end is refused: the live layers are being compared by then. So is one of a call that
            # a person has chosen not to record since its token was issued.
            if row is None or not consents.permits_recording(conn, row.id):
                return None, Written()
            if not calls.claim(conn, row.id, self._options.process):
                return None, Written()
            taken_over = row.owner != self._options.process
            paused = tuple(pauses.of_call(conn, row.id))
            return Claim(row, not streams.of_call(conn, row.id), taken_over, paused), Written()

        return await retry_until_stored(
            "stream token", lambda: self._commits.commit_returning(write, leg_sid), give_up_s=ADMIT_S
        )

    async def starting_point(self, claim: Claim, *, is_new: bool) -> StartingPoint:
        """Where the call starts or continues in this process. Waits for the previous owner to close its streams."""
        if claim.taken_over:
            self._announce_taken(claim.row.id)
        if is_new:
            return new_starting_point(claim.row, self._options.data_dir)
        return await retry_in_thread(
            "call start",
            lambda: starting_point(
                self._database, self._clock, claim.row, self._options.data_dir, self._options.keys
            ),
            give_up_s=ADMIT_S,
        )

    def last_stream_closed(self, call: LiveCall, ended_by: EndedBy) -> None:
        """End the call now, or when no stream continues it in time."""
        if self._registry.get(call.id) is not call:
            return
        if ended_by is EndedBy.SERVER and self._options.hand_over and not call.leg_over:
            # Not ended here: another server takes the call over, or recovery ends it if none does.
            self._handovers.add(self._spawn(self._restart_stream(call)))
            return
        cut = ended_by is EndedBy.SOCKET
        linger_s = self._options.cut_linger_s if cut else self._options.stop_linger_s
        call.linger = self._spawn(self._end_after(call, 0.0 if call.leg_over else linger_s))
        if cut and not call.leg_over:
            self._spawn(self._restart_stream(call))

    def leg_ended(self, call_id: CallId) -> None:
        """The carrier reported that the parent leg is over. Does nothing for a call that another process owns."""
        self._loop.call_soon_threadsafe(self._leg_ended, call_id)

    def stream_stopped(self, stream_sid: str) -> None:
        """The carrier reported that a stream stopped; its socket may stay open behind a tunnel."""
        self._loop.call_soon_threadsafe(self._stream_stopped, StreamSid(stream_sid))

    def taken_elsewhere(self, call_id: CallId) -> None:
        """Another process reported that it owns the call now."""
        if self._registry.get(call_id) is not None:
            self.reconciling.wake()

    def recording_stopped(self, call_id: CallId) -> None:
        """A person chose that the call is not recorded: close what is open of it, if this process has it."""
        self._loop.call_soon_threadsafe(self._recording_stopped, call_id)

    async def reconcile(self) -> None:
        """Reconcile with the rows in case a notification was missed. Raises StoreError."""
        held = {call.id: call.joined for call in self._registry if call.lanes}
        open_streams = [stream.sid for stream in self._registry.streams]

        def read() -> tuple[Collection[CallId], Collection[str], set[CallId]]:
            with self._database.read() as conn:
                owned = set(calls.owned(conn, self._options.process, CallState.LIVE))
                keys = [f"{sid}:{STREAM_STOPPED}" for sid in open_streams]
                recorded = owned - consents.stopped(conn, held)
                return legs.parents_over(conn, owned), callbacks.existing_keys(conn, "stream", keys), recorded

        over, stopped_keys, recorded = await asyncio.to_thread(read)
        for call_id in over:
            self._leg_ended(call_id)
        for key in stopped_keys:
            self._stream_stopped(StreamSid(key.partition(":")[0]))
        for call_id in held.keys() - recorded:
            await self._give_up(call_id, held[call_id])

    async def close(self) -> None:
        """The server stops and has closed its streams: finish handing its calls over, leave the others to the next start."""
        if self._handovers:
            await asyncio.wait(self._handovers, timeout=SHUT_DOWN_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _recording_stopped(self, call_id: CallId) -> None:
        call = self._registry.get(call_id)
        if call is not None:
            self._spawn(self._give_up(call_id, call.joined))

    def _leg_ended(self, call_id: CallId) -> None:
        call = self._registry.get(call_id)
        if call is None:
            self._spawn(self._end_without_audio(call_id))
            return
        if call.leg_over:
            return
        call.leg_over = True
        if call.stop_lingering():
            call.linger = self._spawn(self._end_after(call, 0.0))
        for stream in call.streams.values():
            self._spawn(self._end_when_quiet(stream))

    def _stream_stopped(self, sid: StreamSid) -> None:
        for stream in self._registry.streams:
            if stream.sid == sid:
                self._spawn(self._end_when_quiet(stream))

    async def _end_when_quiet(self, stream: LiveStream) -> None:
        """End a stream whose socket stays open after the carrier reported its end, but not while audio still arrives."""
        if stream.over:
            return
        stream.over, before = True, -1
        while stream.samples != before:
            before = stream.samples
            await asyncio.sleep(self._options.hangup_grace_s)
        stream.request_end()

    async def _end_after(self, call: LiveCall, linger_s: float) -> None:
        await asyncio.sleep(linger_s)
        call.linger = None
        self._registry.remove(call.id)
        await self._end(call.id, call.leg_sid, had_audio=True)

    async def _end_without_audio(self, call_id: CallId) -> None:
        """End a call whose socket never came, unless it has ended before or another process owns it."""

        def owned() -> CallRow | None:
            with self._database.read() as conn:
                row = calls.get(conn, call_id)
            return row if row is not None and row.owner == self._options.process else None

        row = await retry_in_thread("call end", owned)
        if row is not None:
            await self._end(call_id, LegSid(row.leg_sid), had_audio=False)

    async def _end(self, call_id: CallId, leg_sid: LegSid, *, had_audio: bool) -> None:
        at = self._clock.now()

        def write(conn: Connection) -> tuple[bool, Written]:
            ended = end_call(conn, call_id, at, owner=self._options.process)
            if ended is None and had_audio:
                # Ended by a peer that took us for dead: its transcript is still ours to save if we own it.
                row = calls.get(conn, call_id)
                return row is not None and row.owner == self._options.process, Written()
            return ended is not None, ended or Written()

        if await retry_until_stored("call end", lambda: self._commits.commit_returning(write, leg_sid)):
            await self._transcription.finish_call(call_id)
        elif had_audio:
            self._transcription.forget(call_id)

    async def _restart_stream(self, call: LiveCall) -> None:
        """Request another stream of the carrier; it continues the call when its socket comes."""
        request = self._request_stream
        if request is None or call.restarts >= MAX_RESTARTS:
            return
        call.restarts += 1
        if await retry_in_thread(
            "stream restart", lambda: request(call.id, call.leg_sid), give_up_s=self._options.cut_linger_s
        ):
            log.info("stream requested", extra={"call_id": call.id})

    async def _give_up(self, call_id: CallId, joined: int) -> None:
        """Close what is open of a call that another process owns or has ended, or that is not recorded any more.

        Not if another stream has joined here since.
        """
        call = self._registry.get(call_id)
        if call is None or call.joined != joined:
            return
        self._registry.remove(call_id)
        call.stop_lingering()
        for stream in list(call.streams.values()):
            stream.request_end()
            await stream.close(EndedBy.SOCKET)
        self._transcription.forget(call_id)
        log.info("call given up: not recorded here any more", extra={"call_id": call_id})

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
