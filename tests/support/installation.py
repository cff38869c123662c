"""Fixtures of the service tests: a real database, event bus and publisher in a folder, a manual clock, a fake engine and
detector, audio, and waiting for a condition."""

import asyncio
import functools
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from callreel.asr.engine import Capabilities, RecognizedWord, Transcription
from callreel.asr.workers.host import EngineHost
from callreel.asr.workers.pool import StartedEngine
from callreel.audio import mulaw
from callreel.audio.samples import Samples
from callreel.audio.segmenter import SegmenterOptions
from callreel.cluster.event_bus import EventBus
from callreel.cluster.event_publisher import EventPublisher
from callreel.cluster.group_commit import GroupCommit
from callreel.domain.call import Direction
from callreel.domain.events import LiveEvent
from callreel.domain.ids import CallId, LegSid
from callreel.ingest.call_ownership import CallOwnership
from callreel.ingest.call_registry import CallRegistry, CaptureOptions
from callreel.ingest.fact_queue import FactQueue
from callreel.ingest.stream_lifecycle import StreamLifecycle
from callreel.ingest.voice_request import TOKEN_PARAMETER, AnswerOptions, VoiceRequestHandler
from callreel.live.phrase_watch import PhraseWatch
from callreel.live.spill import Spill
from callreel.live.transcription import LiveOptions, LiveTranscription
from callreel.runtime.clock import Clock
from callreel.runtime.counters import Counters
from callreel.simulator.calls.twiml_reader import read_twiml
from callreel.simulator.calls.twiml_script import StartStream
from callreel.store.calls import calls, live_events
from callreel.store.calls.calls import CallRow
from callreel.store.db.database import Database
from callreel.store.encryption.sealed_file import FileKeys
from callreel.store.files.blobs import BlobStore
from callreel.twilio.dial_policy import DialPolicy
from callreel.twilio.webhooks import VoiceRequest

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ACCOUNT = "AC" + "1" * 32
PROCESS = "this-process"
FRAME_MS = 20


class SteppedClock(Clock):
    """A manual clock that starts at noon."""

    __slots__ = ("_s",)

    def __init__(self) -> None:
        object.__setattr__(self, "_s", [0.0])

    _s: list[float]

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self._s[0])

    def monotonic_s(self) -> float:
        return self._s[0]

    def step(self, seconds: float) -> None:
        self._s[0] += seconds


@dataclass(frozen=True, slots=True)
class Installation:
    """Rows, files, events and time of one installation. `published` has the events of the bus, in order."""

    folder: Path
    database: Database
    blobs: BlobStore
    bus: "RecordingBus"
    publisher: EventPublisher
    commits: GroupCommit
    clock: SteppedClock
    listen: bool = True
    """Whether live transcripts are made."""

    @property
    def published(self) -> list[LiveEvent]:
        return self.bus.published

    def stored_events(self) -> list[LiveEvent]:
        with self.database.read() as conn:
            return live_events.after(conn, None, 0, 10_000)

    def call(self, call_id: CallId) -> CallRow:
        with self.database.read() as conn:
            row = calls.get(conn, call_id)
        assert row is not None
        return row


class RecordingBus(EventBus):
    """The real bus, which also records its events."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[LiveEvent] = []

    def has_listeners(self, call_id: CallId) -> bool:
        return True  # it listens itself

    def publish(self, event: LiveEvent) -> None:
        self.published.append(event)
        super().publish(event)


@functools.cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "callreel.db"
        database = Database.open(str(path))
        database.migrate()
        database.close()
        return path.read_bytes()


def write_migrated(path: Path) -> None:
    """Write an SQLite file with all tables and no rows, as the program would."""
    path.touch(mode=0o600)
    path.write_bytes(_migrated())


@contextmanager
def grounded(folder: Path) -> Iterator[Installation]:
    """A new installation in `folder`, or the existing one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "callreel.db"
    if not path.exists():
        write_migrated(path)
    database = Database.open(str(path))
    bus, clock = RecordingBus(), SteppedClock()
    publisher = EventPublisher(database, bus, clock)
    try:
        yield Installation(
            folder,
            database,
            BlobStore(folder / "objects"),
            bus,
            publisher,
            GroupCommit(database, publisher),
            clock,
        )
    finally:
        bus.close()
        database.close()


@contextmanager
def temporary_installation() -> Iterator[Installation]:
    """A temporary installation, in memory if the machine has such a folder, which makes syncing cheap."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        with grounded(Path(folder)) as installation:
            yield installation


# Calls


def leg(number: int) -> LegSid:
    return LegSid(f"CA{number:032x}")


def answer_options(**changes: object) -> AnswerOptions:
    values: dict[str, object] = {
        "public_url": "https://calls.example",
        "stream_url": "wss://calls.example/twilio/media-stream",
        "caller_id": "+12125550100",
        "incoming_agent": "desk",
        "dial_policy": DialPolicy.for_caller_id("+12125550100"),
    }
    return AnswerOptions(**(values | changes))  # type: ignore[arg-type]


def answering(installation: Installation, **changes: object) -> VoiceRequestHandler:
    """With sequential ids and tokens: `000000000001`, `token-1`."""
    call_ids, tokens = itertools.count(1), itertools.count(1)
    return VoiceRequestHandler(
        installation.database,
        installation.publisher,
        answer_options(**changes),
        installation.clock,
        new_call_id=lambda: f"{next(call_ids):012x}",
        new_token=lambda: f"token-{next(tokens)}",
        owner=PROCESS,
    )


def voice_request(number: int = 1, *, to: str = "+12125550123", from_: str = "client:ada") -> VoiceRequest:
    outgoing = from_.startswith("client:")
    return VoiceRequest(
        leg_sid=leg(number),
        account_sid=ACCOUNT,
        from_=from_,
        to=to,
        direction=Direction.OUTGOING if outgoing else Direction.INCOMING,
        agent_identity=from_.removeprefix("client:") if outgoing else None,
        status="ringing",
    )


def token_in(document: str) -> str:
    """The media token in the TwiML."""
    (stream,) = (verb for verb in read_twiml(document).verbs if isinstance(verb, StartStream))
    return stream.parameters[TOKEN_PARAMETER]


def a_call(installation: Installation, number: int = 1, *, from_: str = "client:ada") -> CallRow:
    """A live call as a voice request creates it; its parent leg is `leg(number)`."""
    answering(installation).answer(voice_request(number, from_=from_))
    with installation.database.read() as conn:
        row = calls.by_leg(conn, leg(number))
    assert row is not None
    return row


# Audio


def speech(duration_ms: int, *, seed: int = 1, rate_hz: int = 8_000) -> Samples:
    """Loud noise, unique for its seed. It is rounded by mu-law, so that encoding it loses nothing."""
    noise = np.random.default_rng(seed).normal(0, 6_000, duration_ms * rate_hz // 1000)
    return mulaw.decode(mulaw.encode(np.clip(noise, -30_000, 30_000).astype(np.int16)))


def silence(duration_ms: int, *, rate_hz: int = 8_000) -> Samples:
    return np.zeros(duration_ms * rate_hz // 1000, np.int16)


def frames(samples: Samples, *, first_ms: int = 0) -> list[tuple[int, bytes]]:
    """(timestamp_ms, payload) of 20 ms each."""
    payload, size = mulaw.encode(samples), FRAME_MS * 8
    return [(first_ms + at // 8, payload[at : at + size]) for at in range(0, len(payload), size)]


class LoudnessDetector:
    """Detects loud audio as speech."""

    window_samples = 256

    def probability(self, samples: Samples) -> float:
        return 1.0 if np.abs(samples.astype(np.int32)).mean() > 500 else 0.0


# Engines


Decode = Callable[[Samples, bool], Sequence[RecognizedWord]]


def one_word(samples: Samples, partial: bool) -> list[RecognizedWord]:
    """One word as long as the audio, which names its duration."""
    duration_ms = samples.size // 16
    return [RecognizedWord(f"{duration_ms}ms", 0, duration_ms, 0.5)]


class QuickHost(EngineHost):
    """An engine host without processes. While `gate` is closed no decode ends; `asked` is what was asked, in order."""

    def __init__(self, decode: Decode = one_word, *, partials: bool = True) -> None:
        self._decode_now = decode
        self._can = Capabilities("quick", "none", partials, True, True, True)
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[tuple[Samples, bool]] = []

    @property
    def capabilities(self) -> Capabilities:
        return self._can

    async def decode(
        self, segments: Sequence[Samples], *, partial: bool = False, language: str = ""
    ) -> list[Transcription]:
        self.asked += [(samples, partial) for samples in segments]
        await self.gate.wait()
        return [Transcription(self._decode_now(samples, partial)) for samples in segments]

    @property
    def finals(self) -> list[Samples]:
        return [samples for samples, partial in self.asked if not partial]


# Time


async def eventually(condition: Callable[[], object], deadline_s: float = 10.0) -> None:
    """Wait until `condition` holds; fail at the deadline."""
    until = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"did not happen within {deadline_s:g} s")
        await asyncio.sleep(0.002)


def eventually_blocking(condition: Callable[[], object], deadline_s: float = 20.0) -> None:
    """The same without an event loop."""
    until = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"did not happen within {deadline_s:g} s")
        time.sleep(0.005)


# Capture and live transcription


SEGMENTER = SegmenterOptions()


def transcription(
    installation: Installation,
    host: EngineHost,
    counters: Counters | None = None,
    *,
    workers: int = 1,
    watches: Sequence[PhraseWatch[str]] = (),
) -> LiveTranscription:
    return LiveTranscription(
        StartedEngine(host, host.capabilities, ""),
        installation.commits,
        installation.publisher,
        installation.clock,
        counters or Counters(),
        Spill(installation.database, installation.blobs),
        LiveOptions(workers, LoudnessDetector, SEGMENTER, enabled=installation.listen, watches=watches),
    )


@dataclass(slots=True)
class LiveSide:
    """Capture with its collaborators; `ended` are the calls whose end reached live transcription."""

    installation: Installation
    host: QuickHost
    counters: Counters
    transcription: LiveTranscription
    registry: CallRegistry
    ownership: CallOwnership
    streams: StreamLifecycle
    facts: FactQueue
    ended: list[CallId]

    async def close(self) -> None:
        await self.streams.close_all()
        await self.facts.close()
        await self.ownership.close()


@asynccontextmanager
async def live_side(  # noqa: PLR0913  # a test names what it needs otherwise
    installation: Installation,
    *,
    host: QuickHost | None = None,
    stop_linger_s: float = 30.0,
    cut_linger_s: float = 30.0,
    hangup_grace_s: float = 0.0,
    max_calls: int = 1_000,
    request_stream: Callable[[CallId, LegSid], bool] | None = None,
    process: str = PROCESS,
    root: Path | None = None,
    hand_over: bool = False,
    announce_taken: Callable[[CallId], None] = lambda call_id: None,
    keys: FileKeys | None = None,
) -> AsyncIterator[LiveSide]:
    """Running. Lingers are longer than any test unless it asks for shorter ones. Fails if a task is left behind."""
    counters, host = Counters(), host or QuickHost()
    live, ended = transcription(installation, host, counters), list[CallId]()
    finish_call = live.finish_call

    async def note_end(call_id: CallId) -> None:
        ended.append(call_id)
        await finish_call(call_id)

    live.finish_call = note_end  # type: ignore[method-assign]
    options = CaptureOptions(
        process, root or installation.blobs.root, stop_linger_s=stop_linger_s, cut_linger_s=cut_linger_s,
        hangup_grace_s=hangup_grace_s, hand_over=hand_over, keys=keys,
    )  # fmt: skip
    commits, clock = installation.commits, installation.clock
    registry = CallRegistry(max_calls)
    ownership = CallOwnership(
        registry, installation.database, commits, clock, live, options, request_stream=request_stream,
        announce_taken=announce_taken,
    )  # fmt: skip
    streams = StreamLifecycle(
        registry, ownership, commits, clock, counters, live, installation.publisher, options
    )
    side = LiveSide(
        installation, host, counters, live, registry, ownership, streams,
        FactQueue(commits, clock, counters), ended,
    )  # fmt: skip
    live.start()
    reconciling = asyncio.create_task(ownership.reconciling.run())
    before = asyncio.all_tasks()
    try:
        yield side
    finally:
        reconciling.cancel()
        await side.close()
        await live.close()
    left = {task for task in asyncio.all_tasks() - before if not task.done()}
    if left:
        _, left = await asyncio.wait(left, timeout=5)
    assert not left, left
