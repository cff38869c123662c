"""Calls whose audio comes in now: streams join a call by their token, fill its lanes, and leave again.

A stream that ends does not end its call: another may continue it, also in another process, which then takes the call
over (`services/custody`, `services/handover`). A call ends when the carrier says that its parent leg is over, or when no
stream came back in time.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection

from callreel.audio.levels import dbfs
from callreel.audio.samples import ASR_HZ, SAMPLES_PER_MS, TELEPHONE_HZ
from callreel.cluster.event_publisher import EventPublisher
from callreel.cluster.group_commit import GroupCommit, Written
from callreel.domain.call import Role, Topology, Track
from callreel.domain.errors import StoreError
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId, LegSid, StreamSid
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.ingest.handover import beginning, new_beginning
from callreel.ingest.lane import TELL_EVERY_MS, Lane, LaneListener, LanePaths
from callreel.ingest.ownership import Admitted, CallOwnership, Found
from callreel.ingest.stream_restart import MOST_A_CALL
from callreel.ingest.voice_request import TOKEN_PARAMETER
from callreel.runtime.clock import Clock
from callreel.runtime.counters import GAP_MS, Counters
from callreel.runtime.tracing import begin
from callreel.store.audio.live_layers import layer_event, layer_file
from callreel.store.calls import facts, layers, streams
from callreel.store.calls.calls import CallRow
from callreel.store.calls.streams import EndedBy, StreamRow
from callreel.store.db.database import Database
from callreel.store.db.write_retry import SHUT_DOWN_S, retry_in_thread, retry_until_stored
from callreel.twilio.stream import Frame, Started

log = logging.getLogger(__name__)

HEARD_BLOCK_MS = 20
"""Audio that somebody listens to is written and handed on as it comes, so that no word waits for a block."""
LOOK_EVERY_S = 5.0
ADMIT_S = 60.0
"""How long a stream waits for a database that is away: its audio waits unread meanwhile."""
FRAME_COUNTS = ("repeated", "late", "reordered", "refused")


class Transcription(Protocol):
    """What capture needs of live transcription (`live.transcription.LiveTranscription`)."""

    @property
    def patience_ms(self) -> int:
        """How long the 16 kHz samples of a block may be delayed; 0 where they are transcribed live."""
        ...

    def endpointer(
        self, call_id: CallId, role: Role, first_number: int = 0, *, language: str = ""
    ) -> LaneListener:
        """The listener for one lane of a call; its segments are numbered from `first_number` on."""
        ...

    async def finish_call(self, call_id: CallId) -> None:
        """Wait for the final results of a call that has ended, then save its live transcript."""
        ...

    def forget(self, call_id: CallId) -> None:
        """Another process owns the call now and saves its transcript."""
        ...

    def load(self) -> dict[str, int]:
        """How far transcription is behind, and what it sheds, as level events report it."""
        ...


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """`block_ms`: audio written at once, which bounds what a kill loses.

    `stop_linger_s`: how long after an orderly `stop` another stream may continue the call. `cut_linger_s`: the same
    after a socket that died. `hang_on_s`: how long a socket may stay after the carrier said that the call is over.
    `max_calls`: how many calls may live at once. `spool`: what `data_dir` is called where files move on from it.
    `hand_over`: whether other servers may take over the calls that go on when this one stops.
    """

    data_dir: Path
    block_ms: int = 160
    stop_linger_s: float = 2.0
    cut_linger_s: float = 60.0
    hang_on_s: float = 5.0
    max_calls: int = 1000
    spool: str | None = None
    hand_over: bool = False


class LiveStream:
    """One stream of one call, for as long as its socket lives. Not shared between tasks."""

    __slots__ = (
        "_call",
        "_lanes",
        "ended",
        "hangs_on",
        "sid",
        "span",
    )

    def __init__(self, call: "LiveCall", sid: StreamSid, lanes: Mapping[Track, Lane]) -> None:
        self._call = call
        self.sid = sid
        self._lanes = lanes
        self.ended = asyncio.Event()
        """Set when the stream is to end although its socket still lives."""
        self.hangs_on = False
        """Whether the carrier has said that it is over."""
        self.span = begin("stream", call.leg_sid, call_id=call.id)

    @property
    def may_wait(self) -> bool:
        """Whether nobody listens to its audio as it comes, so that it may be taken in at long intervals."""
        return all(not lane.is_heard for lane in self._lanes.values())

    @property
    def samples(self) -> int:
        """What was written of it so far, over its lanes."""
        return sum(lane.samples for lane in self._lanes.values())

    def place(self, frames: Sequence[Frame]) -> None:
        """Frames as they came; those of a track that `start` did not name are counted and dropped."""
        placed = 0
        for track, lane in self._lanes.items():
            of_track = [frame for frame in frames if frame.track is track]
            if of_track:
                lane.place(of_track)
                placed += len(of_track)
        if placed < len(frames):
            self._call.counters.add("frames_of_unknown_track", len(frames) - placed)


@dataclass(slots=True)
class LiveCall:
    """A call with its lanes. `streams` are the ones whose sockets live."""

    id: CallId
    leg_sid: LegSid
    topology: Topology
    first_started_s: float
    counters: Counters
    tell_level: Callable[["LiveCall"], None]
    language: str = ""
    """As in its row."""
    lanes: dict[Role, Lane] = field(default_factory=dict)
    length_ms: int = 0
    """How far the files of the call reached when it came to this process."""
    streams: dict[StreamSid, LiveStream] = field(default_factory=dict)
    next_level_samples: int = 0
    leg_over: bool = False
    restreams: int = 0
    joined: int = 0
    """How many streams have come here."""
    linger: asyncio.Task[None] | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a stream joins or leaves, so that the rows of one never overwrite those of the next."""

    def written(self) -> None:
        """A block was written: send levels, at most once each half second of audio."""
        reached = max([lane.samples for lane in self.lanes.values()])
        if reached >= self.next_level_samples:
            self.next_level_samples = reached + TELL_EVERY_MS * SAMPLES_PER_MS
            self.tell_level(self)


class LiveCalls:
    """The registry of live calls in this process. All methods run on the event loop unless they say otherwise."""

    def __init__(
        self,
        database: Database,
        publisher: EventPublisher,
        commits: GroupCommit,
        clock: Clock,
        counters: Counters,
        transcription: Transcription,
        options: LiveOptions,
        custody: CallOwnership,
        *,
        call_ended: Callable[[CallId], None] = lambda call_id: None,
        ask_for_stream: Callable[[CallId, LegSid], bool] | None = None,
        taken: Callable[[CallId], None] = lambda call_id: None,
    ) -> None:
        """`ask_for_stream` (blocking) gets a new stream for a call whose socket died; None leaves such calls alone.

        `taken` tells other processes that a call which one of them had is here now.
        """
        self._database = database
        self._publisher = publisher
        self._clock = clock
        self._counters = counters
        self._transcription = transcription
        self._options = options
        self._custody = custody
        self._commits = commits
        self._taken = taken
        self._call_ended = call_ended
        self._ask_for_stream = ask_for_stream
        self._calls: dict[CallId, LiveCall] = {}
        self._opening = 0
        self._draining = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._passing: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop that the thread-safe methods hand over to."""
        self._loop = loop

    @property
    def count(self) -> int:
        """Calls here, those included whose first stream is being let in."""
        return len(self._calls) + self._opening

    @property
    def draining(self) -> bool:
        """Whether new calls are refused since the server stops."""
        return self._draining

    def drain(self) -> None:
        """Take no more new calls; those that live go on."""
        self._draining = True

    def has_room_for(self, started: Started) -> bool:
        """Whether the call of `started` may join: always when it lives, else while there is room and no drain."""
        if not self._draining and self.count < self._options.max_calls:
            return True
        return any(call.leg_sid == started.leg_sid for call in self._calls.values())

    async def open_stream(self, started: Started) -> LiveStream | None:
        """The stream behind `started`, or None when its token does not admit it. Spends the token."""
        token = started.parameters.get(TOKEN_PARAMETER, "")
        arrived_s = self._clock.monotonic_s()

        def admit(conn: Connection) -> tuple[Admitted | None, Written]:
            return self._custody.admit(conn, token, started.leg_sid), Written()

        self._opening += 1
        try:
            admitted = await retry_until_stored(
                "the start of a stream",
                lambda: self._commits.commit_returning(admit, started.leg_sid),
                give_up_s=ADMIT_S,
            )
        finally:
            self._opening -= 1
        if admitted is None:
            return None
        return await self._join(admitted, started, arrived_s)

    async def _join(self, admitted: Admitted, started: Started, arrived_s: float) -> LiveStream:
        row = admitted.row
        call = self._calls.get(row.id)
        if call is None:
            topology = Topology(inbound=row.inbound_role)
            call = LiveCall(
                row.id, LegSid(row.leg_sid), topology, arrived_s, self._counters, self._tell_level,
                row.language,
            )  # fmt: skip
            self._calls[row.id] = call
        call.joined += 1
        if call.linger is not None:
            call.linger.cancel()
            call.linger = None
        for old in list(call.streams.values()):
            # It hangs, or its end has not been heard of: the carrier has one stream of ours on a leg.
            old.ended.set()
            await self._leave(old, EndedBy.SOCKET)
        async with call.turn:
            try:
                if not call.lanes or row.owner != self._custody.process:
                    await self._prepare(call, admitted, arrived_s)
                return await self._begin(call, row, started, arrived_s)
            except BaseException:
                if not call.streams:
                    self._calls.pop(row.id, None)
                raise

    async def _prepare(self, call: LiveCall, admitted: Admitted, arrived_s: float) -> None:
        """Make the call's lanes; where it had streams in another process, that one lets go first."""
        row = admitted.row
        if row.owner != self._custody.process:
            self._taken(row.id)
        if admitted.is_new and not call.lanes:
            begun = new_beginning(row, self._options.data_dir)
        else:
            begun = await retry_in_thread(
                "the start of a call",
                lambda: beginning(self._database, self._clock, row, self._options.data_dir),
                give_up_s=ADMIT_S,
            )
        if begun.zero_at is not None:
            into_s = (self._at(arrived_s) - begun.zero_at).total_seconds()
            call.first_started_s = arrived_s - max(0.0, into_s)
        call.length_ms = begun.length_ms
        call.lanes = {
            role: self._new_lane(call, role, begun.paths[role], begun.first_number) for role in Role
        }

    def _at(self, monotonic_s: float) -> datetime:
        """The wall clock at that time: what was waited for since does not count."""
        return self._clock.now() - timedelta(seconds=self._clock.monotonic_s() - monotonic_s)

    async def _begin(self, call: LiveCall, row: CallRow, started: Started, arrived_s: float) -> LiveStream:
        # The stream's own clock begins at 0 again; when it began is the one thing that only arrival tells.
        by_arrival_ms = round(1000 * (arrived_s - call.first_started_s))
        origin_ms = max(by_arrival_ms, call.length_ms, *(lane.length_ms for lane in call.lanes.values()))
        named = started.tracks or (Track.INBOUND, Track.OUTBOUND)
        lanes = {track: call.lanes[call.topology.role_of_track(track)] for track in named}
        for lane in lanes.values():
            lane.begin(origin_ms)
        stream = LiveStream(call, started.stream_sid, lanes)
        call.streams[started.stream_sid] = stream
        stream_row = StreamRow(
            sid=started.stream_sid,
            call_id=row.id,
            leg_sid=started.leg_sid,
            origin_ms=origin_ms,
            started_at=self._at(arrived_s),
            owner=self._custody.process,
        )
        files = [file for lane in lanes.values() for file in self._layer_files(lane, LayerState.RECORDING)]

        def note(conn: Connection) -> Written:
            streams.insert(conn, stream_row)
            layers.upsert_all(conn, row.id, files, owner=stream_row.owner)
            return _told(row.id, files)

        await retry_until_stored("the start of a stream", lambda: self._commits.commit(note, row.leg_sid))
        log.info("stream joined", extra={"call_id": row.id, "leg_sid": started.leg_sid})
        return stream

    def _new_lane(self, call: LiveCall, role: Role, paths: LanePaths, first_number: int) -> Lane:
        listener = self._transcription.endpointer(call.id, role, first_number, language=call.language)
        patience_ms = self._transcription.patience_ms
        block_ms = self._options.block_ms if patience_ms else min(HEARD_BLOCK_MS, self._options.block_ms)
        return Lane(
            role, paths, listener, block_ms=block_ms, patience_ms=patience_ms, on_written=call.written
        )

    def _layer_files(self, lane: Lane, state: LayerState) -> list[LayerFile]:
        both = (
            (Layer.LIVE_8K, lane.paths.live_8k, TELEPHONE_HZ),
            (Layer.LIVE_16K, lane.paths.live_16k, ASR_HZ),
        )
        return [
            layer_file(layer, lane.role, path, rate, state, self._options.data_dir, self._options.spool)
            for layer, path, rate in both
        ]

    async def close_stream(self, stream: LiveStream, ended_by: EndedBy) -> None:
        """The socket of `stream` is over: `ended_by` says how that came."""
        left = await self._leave(stream, ended_by)
        if left and not stream._call.streams:
            self._settle(stream._call, ended_by)

    async def _leave(self, stream: LiveStream, ended_by: EndedBy) -> bool:
        """Take `stream` out of its call and close its files; False when that was done before."""
        call = stream._call
        if call.streams.pop(stream.sid, None) is None:
            return False
        async with call.turn:
            await self._close_files(stream, ended_by)
        log.info("stream ended by %s", ended_by, extra={"call_id": call.id})
        return True

    async def _close_files(self, stream: LiveStream, ended_by: EndedBy) -> None:
        call = stream._call
        counts: dict[str, Json] = {lane.role: self._ending(lane) for lane in stream._lanes.values()}
        stream.span.set_attribute("callreel.ended_by", ended_by)
        stream.span.end()
        lanes = list(stream._lanes.values())
        give_up_s = SHUT_DOWN_S if ended_by is EndedBy.SERVER else None
        files = await retry_in_thread(
            "the end of a stream", lambda: self._closed_files(lanes), give_up_s=give_up_s
        )

        def note(conn: Connection) -> Written:
            streams.finish(conn, stream.sid, self._clock.now(), ended_by, counts)
            layers.upsert_all(conn, call.id, files)
            return _told(call.id, files)

        await retry_until_stored(
            "the end of a stream", lambda: self._commits.commit(note, call.leg_sid), give_up_s=give_up_s
        )

    def _ending(self, lane: Lane) -> dict[str, Json]:
        """End a lane's stream; what was counted, and how far layer 1 reaches then."""
        counted = lane.end()
        for name in FRAME_COUNTS:
            self._counters.add(f"frames_{name}", getattr(counted, name))
        self._counters.add("frames_placed", counted.frames - counted.repeated - counted.refused)
        self._counters.add(GAP_MS, counted.gap_ms)
        return {**asdict(counted), "end_ms": lane.length_ms, "disk_lost_ms": lane.disk_lost_ms}

    def _closed_files(self, lanes: Sequence[Lane]) -> list[LayerFile]:
        """The files of lanes that have ended, once they outlive a power cut. Blocking."""
        for lane in lanes:
            lane.sync()
        return [file for lane in lanes for file in self._layer_files(lane, LayerState.CLOSED)]

    def _settle(self, call: LiveCall, ended_by: EndedBy) -> None:
        """No socket is left: end the call now, or when nothing continued it in time."""
        if ended_by is EndedBy.SERVER and self._options.hand_over and not call.leg_over:
            # It is not ours to end: another server takes it over, or a peer ends it when none did.
            self._passing.add(self._spawn(self._restream(call)))
            return
        cut = ended_by is EndedBy.SOCKET
        wait_s = self._options.cut_linger_s if cut else self._options.stop_linger_s
        call.linger = self._spawn(self._end(call, 0.0 if call.leg_over else wait_s))
        if cut and not call.leg_over:
            self._spawn(self._restream(call))

    async def _restream(self, call: LiveCall) -> None:
        """Ask the carrier for another stream; it continues the call when its socket comes."""
        ask = self._ask_for_stream
        if ask is None or call.restreams >= MOST_A_CALL:
            return
        call.restreams += 1
        asked = await retry_in_thread(
            "a token for a new stream",
            lambda: ask(call.id, call.leg_sid),
            give_up_s=self._options.cut_linger_s,
        )
        if asked:
            log.info("asked for a new stream", extra={"call_id": call.id})

    async def _end(self, call: LiveCall, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        call.linger = None
        self._calls.pop(call.id, None)
        at = self._clock.now()

        def end(conn: Connection) -> tuple[bool, Written]:
            ended = self._custody.end(conn, call.id, at)
            return ended is not None or self._custody.owns(conn, call.id), ended or Written()

        if await retry_until_stored(
            "the end of a call", lambda: self._commits.commit_returning(end, call.leg_sid)
        ):
            self._call_ended(call.id)
            await self._transcription.finish_call(call.id)
        else:
            self._transcription.forget(call.id)

    def leg_ended(self, call_id: CallId) -> None:
        """The carrier says that the parent leg is over; nothing for a call of another process. Safe from any thread."""
        self._hand_over(self._leg_ended, call_id)

    def _leg_ended(self, call_id: CallId) -> None:
        call = self._calls.get(call_id)
        if call is None:
            self._spawn(self._end_without_audio(call_id))
            return
        if call.leg_over:
            return
        call.leg_over = True
        if call.linger is not None:
            call.linger.cancel()
            call.linger = self._spawn(self._end(call, 0.0))
        for stream in call.streams.values():
            self._spawn(self._hang_on(stream))

    async def _end_without_audio(self, call_id: CallId) -> None:
        """A call whose socket never came: end it all the same, once; one that has ended, or is another's, is left alone."""
        at = self._clock.now()

        def end(conn: Connection) -> tuple[bool, Written]:
            ended = self._custody.end(conn, call_id, at)
            return ended is not None, ended or Written()

        if await retry_until_stored("the end of a call", lambda: self._commits.commit_returning(end)):
            self._call_ended(call_id)
            await self._transcription.finish_call(call_id)

    async def _hang_on(self, stream: LiveStream) -> None:
        """End a stream that hangs on after the carrier's word, but not while its audio still comes: it may be late."""
        if stream.hangs_on:
            return
        stream.hangs_on, before = True, -1
        while stream.samples != before:
            before = stream.samples
            await asyncio.sleep(self._options.hang_on_s)
        stream.ended.set()

    def taken_elsewhere(self, call_id: CallId) -> None:
        """Another process says that it has the call now. Safe from any thread."""
        if call_id in self._calls:
            self._hand_over(lambda: self._spawn(self._look_again()))

    def stream_ended(self, stream_sid: str) -> None:
        """The carrier says that a stream stopped; its socket may hang on behind a tunnel. Safe from any thread."""
        self._hand_over(self._stream_ended, StreamSid(stream_sid))

    def _stream_ended(self, sid: StreamSid) -> None:
        for call in self._calls.values():
            if sid in call.streams:
                self._spawn(self._hang_on(call.streams[sid]))

    async def run(self) -> None:
        """Look after what was told to another process in vain, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._look_again()

    async def _look_again(self) -> None:
        try:
            await self.look()
        except StoreError as error:
            log.warning("calls cannot be looked after: %s", error)

    async def look(self) -> None:
        """What the rows say of the calls here: ended legs, stopped streams, calls that went to another process."""
        held = {call.id: call.joined for call in self._calls.values() if call.lanes}
        open_streams = [sid for call in self._calls.values() for sid in call.streams]
        found: Found = await asyncio.to_thread(self._custody.look, held, open_streams)
        for call_id in found.over:
            self._leg_ended(call_id)
        for sid in found.stopped:
            self._stream_ended(sid)
        for call_id in found.gone:
            await self._let_go(call_id, held[call_id])

    async def _let_go(self, call_id: CallId, joined: int) -> None:
        """The call is another process's, or was ended by one that took us for dead: close what is open here.

        Not if another stream has joined here since.
        """
        call = self._calls.get(call_id)
        if call is None or call.joined != joined:
            return
        del self._calls[call_id]
        if call.linger is not None:
            call.linger.cancel()
        for stream in list(call.streams.values()):
            stream.ended.set()
            await self._leave(stream, EndedBy.SOCKET)
        self._transcription.forget(call_id)
        log.info("a call went on elsewhere", extra={"call_id": call_id})

    def _hand_over(self, work: Callable[..., object], *arguments: object) -> None:
        if self._loop is None:
            raise RuntimeError("LiveCalls.bind was not called")
        self._loop.call_soon_threadsafe(work, *arguments)

    def note_fact(self, kind: str, data: dict[str, str], stream: LiveStream | None) -> None:
        """Keep something that the carrier said and we do not know. Blocking; call it in a thread."""
        call_id = stream._call.id if stream else None
        with self._database.write() as conn:
            facts.note(conn, kind, data, self._clock.now(), call_id)

    async def close(self) -> None:
        """The server stops: end all streams, so that files are whole, and leave calls to other servers or the next start."""
        open_streams = [stream for call in self._calls.values() for stream in call.streams.values()]
        # Together: of a full server one after the other takes as many syncs of the disk.
        ended = await asyncio.gather(
            *(self.close_stream(stream, EndedBy.SERVER) for stream in open_streams), return_exceptions=True
        )
        for error in ended:
            if isinstance(error, Exception):
                log.error("a stream could not be ended in order; the next start does it: %s", error)
        if self._passing:
            await asyncio.wait(self._passing, timeout=SHUT_DOWN_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _tell_level(self, call: LiveCall) -> None:
        if not self._publisher.has_listeners(call.id):
            return
        levels = {f"{role}_dbfs": round(dbfs(lane.level_block), 1) for role, lane in call.lanes.items()}
        position_ms = max(lane.samples for lane in call.lanes.values()) // 8
        data = {
            **levels,
            "position_ms": position_ms,
            **self._transcription.load(),
        }
        self._publisher.publish(LiveEvent(call.id, EventKind.LEVEL, {**data}))

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _told(call_id: CallId, files: Sequence[LayerFile]) -> Written:
    """What became of files, for listeners."""
    return Written(tuple(layer_event(call_id, file) for file in files))
