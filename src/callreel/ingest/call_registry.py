"""The calls whose audio this process captures now, their open streams, and how many more calls it may take."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from callreel.audio.samples import SAMPLES_PER_MS
from callreel.domain.call import Role, Topology, Track
from callreel.domain.ids import CallId, LegSid, StreamSid
from callreel.ingest.lane import Lane, LaneListener
from callreel.ingest.paused_time import PausedTime
from callreel.runtime.counters import Counters
from callreel.runtime.tracing import begin
from callreel.store.calls.streams import EndedBy
from callreel.store.encryption.sealed_file import FileKeys
from callreel.twilio.stream import Frame


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """`process`: this process's name among its peers. `spool`: the name of `data_dir` where files are offloaded from it.

    `block_ms`: audio written at once, which bounds what a kill loses.
    `stop_linger_s`: how long after an orderly `stop` another stream may continue the call. `cut_linger_s`: the same
    after a socket that died. `hangup_grace_s`: how long a socket may stay open after the carrier reported the end.
    `hand_over`: whether other servers may take over the live calls of this one when it stops. `keys` encrypt the layers.
    """

    process: str
    data_dir: Path
    block_ms: int = 160
    stop_linger_s: float = 2.0
    cut_linger_s: float = 60.0
    hangup_grace_s: float = 5.0
    spool: str | None = None
    hand_over: bool = False
    keys: FileKeys | None = None


class Transcription(Protocol):
    """What capture needs of live transcription (`live.transcription.LiveTranscription`)."""

    @property
    def max_lag_ms(self) -> int:
        """How far layer 2 may lag behind layer 1; 0 where calls are transcribed live."""
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


class LiveStream:
    """One media stream of a call, for as long as its socket is open. Not shared between tasks."""

    def __init__(
        self,
        call: "LiveCall",
        sid: StreamSid,
        lanes: Mapping[Track, Lane],
        counters: Counters,
        close: Callable[["LiveStream", EndedBy], Awaitable[None]],
    ) -> None:
        self.call = call
        self.sid = sid
        self.lanes = lanes
        self.counters = counters
        self._close = close
        self.over = False
        """Whether the carrier reported its end."""
        self.end_requested = asyncio.Event()
        self.on_end_request: Callable[[], None] = lambda: None
        self.span = begin("stream", call.leg_sid, call_id=call.id)

    @property
    def transcribed(self) -> bool:
        """Whether live transcription consumes its audio, which then must not be read in batches."""
        return any(lane.transcribed for lane in self.lanes.values())

    @property
    def samples(self) -> int:
        """Samples written so far, over its lanes."""
        return sum(lane.samples for lane in self.lanes.values())

    def place(self, frames: Sequence[Frame]) -> None:
        """Take frames in the order of arrival. Those of a track that `start` did not name are counted and dropped."""
        placed = 0
        for track, lane in self.lanes.items():
            of_track = [frame for frame in frames if frame.track is track]
            if of_track:
                lane.place(of_track)
                placed += len(of_track)
        if placed < len(frames):
            self.counters.add("frames_of_unknown_track", len(frames) - placed)

    def request_end(self) -> None:
        """Make the task that reads the socket close the stream, although the socket is still open."""
        self.end_requested.set()
        self.on_end_request()

    async def close(self, ended_by: EndedBy) -> None:
        """Close the files and save how the stream ended; does nothing the second time."""
        await self._close(self, ended_by)


@dataclass(slots=True, eq=False)
class LiveCall:
    """A call with its lanes and its open streams."""

    id: CallId
    leg_sid: LegSid
    topology: Topology
    language: str
    """As in its row."""
    first_started_s: float
    """Monotonic time at which position 0 of the call lies."""
    lanes: dict[Role, Lane] = field(default_factory=dict)
    length_ms: int = 0
    """How far the files of the call reached when this process took it."""
    streams: dict[StreamSid, LiveStream] = field(default_factory=dict)
    next_level_samples: int = 0
    paused: PausedTime = field(default_factory=PausedTime)
    pause_expected_until_s: float = 0.0
    """Monotonic time until which the call stays silent without a row: a pause was announced. 0: none was."""
    announcement: str = ""
    """Names the newest announcement of a pause: only the message with its outcome answers it."""
    pause_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held from reading the rows of its pauses to doing what they say, so that older rows never undo newer ones."""
    lead_ms: float = 0.0
    """How far the newest audio was ahead of our clock, at most."""
    leg_over: bool = False
    restarts: int = 0
    joined: int = 0
    """How many streams have joined the call in this process."""
    linger: asyncio.Task[None] | None = None
    """Ends the call unless another stream joins in time."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a stream joins or leaves, so that the rows of one never overwrite those of the next."""

    @property
    def reached(self) -> int:
        """The position in samples up to which audio of any party has arrived."""
        return max((lane.reached for lane in self.lanes.values()), default=self.length_ms * SAMPLES_PER_MS)

    @property
    def is_paused(self) -> bool:
        """Whether what arrives now was said, or pressed, during a pause."""
        return bool(self.paused.stretches) and self.reached < self.paused.end

    def note_lead(self, reached: int, now_s: float) -> None:
        """Audio has arrived up to `reached` (samples)."""
        self.lead_ms = max(self.lead_ms, reached / SAMPLES_PER_MS - 1000 * (now_s - self.first_started_s))

    def spoken(self, now_s: float) -> int:
        """The position in samples that is being spoken now, at the latest: audio may be on its way for seconds."""
        by_clock_ms = 1000 * (now_s - self.first_started_s) + self.lead_ms
        return max(self.reached, round(by_clock_ms) * SAMPLES_PER_MS)

    def stop_lingering(self) -> bool:
        """Whether the call was lingering."""
        linger, self.linger = self.linger, None
        return linger is not None and linger.cancel()


class CallRegistry:
    """The live calls of this process, used on its event loop; `draining` and `count` may be read from any thread."""

    def __init__(self, max_calls: int) -> None:
        self._max_calls = max_calls
        self._calls: dict[CallId, LiveCall] = {}
        self._opening = 0
        self.draining = False

    def __iter__(self) -> Iterator[LiveCall]:
        return iter(tuple(self._calls.values()))

    @property
    def count(self) -> int:
        """Live calls, and those whose first stream is being opened."""
        return len(self._calls) + self._opening

    @property
    def streams(self) -> list[LiveStream]:
        return [stream for call in self._calls.values() for stream in call.streams.values()]

    def drain(self) -> None:
        """Refuse new calls from now on; live ones continue."""
        self.draining = True

    def has_room_for(self, leg_sid: LegSid) -> bool:
        """Whether a stream of this leg may be opened: always if its call is live, else below the limit and not draining."""
        if not self.draining and self.count < self._max_calls:
            return True
        return any(call.leg_sid == leg_sid for call in self._calls.values())

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Count a call while its first stream is being opened: a drain must wait for it."""
        self._opening += 1
        try:
            yield
        finally:
            self._opening -= 1

    def get(self, call_id: CallId) -> LiveCall | None:
        return self._calls.get(call_id)

    def add(self, call: LiveCall) -> LiveCall:
        self._calls[call.id] = call
        return call

    def remove(self, call_id: CallId) -> None:
        self._calls.pop(call_id, None)
