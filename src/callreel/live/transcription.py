"""The live transcript: jobs from the lanes to the engine's processes and their text out to listeners.

Partials may be shed, finals never: the queue decides (`speech/queue`), this drives it. One task for each engine
worker takes the next job; a final is a row before anybody hears of it. What the queue has no room for is spilled
(`services/spill`) and taken back when no other final waits.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from callreel.asr.decode_queue import DecodeQueue, Job, SegmentKey
from callreel.asr.delivery import Delivered, SegmentDelivery
from callreel.asr.engine import Capabilities, RemoteEngine, Transcription
from callreel.asr.overload import OverloadLevel
from callreel.asr.partial_cadence import PartialCadence
from callreel.asr.stability import Showing, Stability
from callreel.asr.turns import heard_ms, merge_turns, words_from
from callreel.audio.segmenter import SegmenterOptions, SpeechDetector
from callreel.cluster.event_publisher import EventPublisher
from callreel.cluster.group_commit import GroupCommit, Written
from callreel.domain.call import Role
from callreel.domain.errors import EngineError, StoreError
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.transcript import Final, Segment, TranscriptKind, Word
from callreel.domain.words import join_words
from callreel.live.endpointing import EndpointDetector, NoTranscript
from callreel.live.spill import Spill
from callreel.review.live_scoring import keep_delivery, keep_text_score
from callreel.runtime.clock import Clock
from callreel.runtime.counters import Counters
from callreel.store.calls import calls
from callreel.store.db.database import Database
from callreel.store.db.write_retry import SHUT_DOWN_S, retry_in_thread, retry_until_stored
from callreel.store.transcripts import finals, spilled, transcripts
from callreel.store.transcripts.transcripts import Provenance

log = logging.getLogger(__name__)

T = TypeVar("T")

MS_A_SAMPLE16K = 1 / 16
UNHEARD_PATIENCE_MS = 1_000
LOOK_EVERY_S = 30.0
"""How often an idle worker looks for segments that a dead process left."""


@dataclass(slots=True)
class _OpenSegment:
    """What has been shown of a segment that is still open."""

    stability: Stability
    delivery: SegmentDelivery = field(default_factory=SegmentDelivery)
    told: tuple[Json, Json] | None = None
    """Stable and tentative text, as those who read along have it."""


@dataclass(slots=True)
class _CallProgress:
    """What is still to be decoded for one call."""

    finals_open: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    cadences: dict[Role, PartialCadence] = field(default_factory=dict)
    closed: dict[Role, int] = field(default_factory=dict)
    """The newest segment of each role that has closed: partials of it, or of earlier ones, come too late."""
    open: dict[SegmentKey, _OpenSegment] = field(default_factory=dict)
    """Segments that the engine was asked about while they were open, until their final."""
    language: str = ""
    """What the call is to be heard in; empty for what the engine expects."""
    delivered: Delivered = Delivered()
    """How the words of the segments that are over came."""


class LiveTranscription:
    """Owns the decode queue and the tasks that empty it. All methods run on the event loop."""

    def __init__(
        self,
        host: RemoteEngine,
        database: Database,
        publisher: EventPublisher,
        commits: GroupCommit,
        clock: Clock,
        counters: Counters,
        *,
        workers: int,
        new_detector: "type[SpeechDetector]",
        segmenter: SegmenterOptions,
        spill: Spill,
        listen: bool = True,
        engine: Capabilities | None = None,
        why: str = "",
    ) -> None:
        """`listen` False makes no live transcript: lanes are recorded, nothing is detected or decoded.

        `engine` is the one that is meant to hear, by default the host's; `why` says why it was taken.
        """
        self._host = host
        self._engine = engine
        self._why = why
        self._database = database
        self._publisher = publisher
        self._commits = commits
        self._clock = clock
        self._counters = counters
        self._workers = workers
        self._new_detector = new_detector
        self._segmenter = segmenter
        self._listen = listen
        self._spill = spill
        self._queue = DecodeQueue(workers)
        self._wake = asyncio.Event()
        self._calls: dict[CallId, _CallProgress] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._storing: set[asyncio.Task[Any]] = set()

    @property
    def partials_shed(self) -> int:
        return self._queue.partials_shed

    @property
    def finals_waiting(self) -> int:
        return self._queue.finals_waiting

    @property
    def finals_spilled(self) -> int:
        """Closed segments that wait on disk."""
        return self._spill.waiting

    @property
    def spilled_total(self) -> int:
        """How many segments this process has spilled."""
        return self._spill.total

    @property
    def overload(self) -> OverloadLevel:
        """What is given up now because the engines cannot keep up."""
        return self._queue.level

    @property
    def max_lag_ms(self) -> int:
        """How long 16 kHz samples may wait before they are heard; when nobody listens, longer is cheaper."""
        return 0 if self._listen else UNHEARD_PATIENCE_MS

    def lag_ms(self) -> int:
        """How long the oldest waiting final has waited."""
        return round(1000 * self._queue.final_age_s(self._clock.monotonic_s()))

    def load(self) -> dict[str, int]:
        """How far decoding is behind, and what is shed, for level events."""
        return {
            "lag_ms": self.lag_ms(),
            "partials_shed": self.partials_shed,
            "finals_waiting": self.finals_waiting,
            "finals_spilled": self.finals_spilled,
            "overload": int(self.overload),
        }

    def start(self) -> None:
        """Begin to decode; `close` ends it."""
        self._own(self._look_for_spilled())
        self._tasks = [asyncio.create_task(self._work(), name=f"live-{n}") for n in range(self._workers)]

    async def close(self) -> None:
        """Stop decoding at once, and wait for what is being kept, `SHUT_DOWN_S` at most: the database may be away.

        A segment that was spilled keeps its row until its final is kept, and is decoded at the next start. Any other
        stays in the layers, for the pass after the call.
        """
        for task in self._tasks:
            task.cancel()
        if self._storing:
            await asyncio.wait(self._storing, timeout=SHUT_DOWN_S)
        if left := list(self._storing):
            log.error("%d segments' text is not kept, the database takes nothing; their audio is", len(left))
        for task in left:
            task.cancel()
        await asyncio.gather(*self._tasks, *left, return_exceptions=True)

    def endpointer(
        self, call_id: CallId, role: Role, first_number: int = 0, *, language: str = ""
    ) -> EndpointDetector | NoTranscript:
        """A listener for one lane of a call; its segments are numbered from `first_number` on.

        A call in a `language` that the engine does not hear is only recorded: its text comes after it, from an engine
        that does.
        """
        if not self._listen:
            return NoTranscript()
        if not self._host.capabilities.supports(language):
            log.warning(
                "a call is not heard live: the engine has not its language", extra={"call_id": call_id}
            )
            return NoTranscript()
        progress = self._calls.setdefault(call_id, _CallProgress())
        progress.language = language
        cadence = PartialCadence.for_engine(self._host.capabilities)
        if cadence is not None:
            progress.cadences[role] = cadence

        def ask(role: Role, number: int, start_ms: int, samples: npt.NDArray[np.int16], final: bool) -> None:
            self._offer(Job(call_id, role, number, start_ms, samples, final, self._clock.monotonic_s()))

        def dropped(role: Role, start_ms: int) -> None:
            self._forget(progress, (call_id, role, start_ms))

        return EndpointDetector(
            role, self._new_detector(), self._segmenter, cadence, ask, first_number, dropped
        )

    def _forget(self, progress: _CallProgress, key: SegmentKey) -> None:
        progress.open.pop(key, None)

    def _offer(self, job: Job) -> None:
        if job.final:
            progress = self._calls.setdefault(job.call_id, _CallProgress())
            progress.finals_open += 1
            progress.closed[job.role] = job.number
            progress.idle.clear()
            if not self._queue.offer_final(job):
                self._own(self._put_aside(job))
        elif self._queue.offer_partial(job):
            progress = self._calls.setdefault(job.call_id, _CallProgress())
            progress.open.setdefault(job.key, _OpenSegment(Stability.for_engine(self._host.capabilities)))
        self._wake.set()

    async def _put_aside(self, job: Job) -> None:
        await self._spill.put(job.call_id, _segment(job))
        self._wake.set()

    async def finish_call(self, call_id: CallId) -> None:
        """Wait until every segment of the call has its final, then keep the live transcript as one."""
        progress = self._calls.get(call_id)
        while progress is not None and progress.finals_open:
            progress.idle.clear()
            await progress.idle.wait()
        engine = self._engine or self._host.capabilities
        delivered = progress.delivered if progress is not None else None

        def write(conn: Connection) -> Written:
            told = put_live_transcript(conn, call_id, engine.name, engine, self._why)
            if delivered is not None:
                keep_delivery(conn, call_id, delivered)
            return Written((told,))

        await retry_until_stored("a live transcript", lambda: self._commits.commit(write))
        self.forget(call_id)

    def forget(self, call_id: CallId) -> None:
        """The call went on in another process, which keeps its transcript; what waits is still decoded for it."""
        self._calls.pop(call_id, None)

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            job = self._queue.next(self._clock.monotonic_s())
            if job is None:
                if not await self._take_back():
                    await self._woken()
                continue
            if self._queue.finals_waiting or self._queue.partials_waiting:
                self._wake.set()  # for the other workers
            try:
                await self._decode(job)
            except Exception:
                log.exception("a segment's text was not kept", extra={"call_id": job.call_id})
                self._counters.add("segments_failed")
            finally:
                self._over(job)

    async def _woken(self) -> None:
        """Wait until there may be something to do."""
        try:
            async with asyncio.timeout(LOOK_EVERY_S):
                await self._wake.wait()
        except TimeoutError:
            await self._look_for_spilled()

    async def _look_for_spilled(self) -> None:
        try:
            await self._spill.look()
        except StoreError as error:
            log.warning("segments that wait on disk cannot be looked for now: %s", error)
        if self._spill.waiting:
            self._wake.set()

    async def _take_back(self) -> bool:
        """Put a spilled segment back into the queue, if there is one and nothing else to do."""
        if not self._spill.waiting or not self._queue.has_room:
            return False
        try:
            found = await self._spill.take(self._calls)
        except StoreError as error:
            log.warning("a segment that waits on disk cannot be read now: %s", error)
            return False
        if found is None:
            return False
        segment, now_s = found.segment, self._clock.monotonic_s()
        if not found.samples16k.size:
            log.error("a segment that waited on disk has no audio any more", extra={"call_id": found.call_id})
            self._counters.add("segments_failed")
            await self._keep(found.call_id, Final(segment, (), failed=True))
            self._final_over(found.call_id)
            return True
        self._queue.take_back(
            Job(found.call_id, segment.role, segment.number, segment.start_ms, found.samples16k, True, now_s)
        )
        return True

    def _over(self, job: Job) -> None:
        """The job has come to its end, whatever it was."""
        self._queue.done(job)
        self._wake.set()
        progress = self._calls.get(job.call_id)
        if job.final and progress is not None:
            self._forget(progress, job.key)
            self._final_over(job.call_id)

    def _final_over(self, call_id: CallId) -> None:
        progress = self._calls.get(call_id)
        if progress is not None:
            progress.finals_open -= 1
            progress.idle.set()

    async def _decode(self, job: Job) -> None:
        began = self._clock.monotonic_s()
        failed = False
        try:
            progress = self._calls.get(job.call_id)
            [heard] = await self._host.decode(
                [job.samples16k],
                partial=not job.final or self.overload >= OverloadLevel.CHEAPER,
                language=progress.language if progress is not None else "",
            )
        except EngineError as error:
            log.warning("a segment was not decoded: %s", error, extra={"call_id": job.call_id})
            self._counters.add("segments_failed")
            heard, failed = Transcription(), True
        words = words_from(heard, job.start_ms)
        end_ms = job.start_ms + round(job.samples16k.size * MS_A_SAMPLE16K)
        if job.final:
            final = Final(_segment(job), self._settled(job, words), failed, heard.fallback_engine)
            await self._keep(job.call_id, final)
        elif not failed:
            took_ms = 1000 * (self._clock.monotonic_s() - began)
            self._partial(job, words, end_ms, took_ms)

    def _partial(self, job: Job, words: tuple[Word, ...], end_ms: int, took_ms: float) -> None:
        progress = self._calls.get(job.call_id)
        if progress is None:
            return
        if job.role in progress.cadences:
            progress.cadences[job.role].decoded(took_ms)
        shown = progress.open.get(job.key)
        if shown is not None and job.number > progress.closed.get(job.role, -1):
            showing = shown.stability.hear(words, end_ms)
            shown.delivery.show(showing.words, self._now_ms(job, end_ms))
            data = partial_data(job, showing, end_ms)
            told, shown.told = shown.told, (data["stable"], data["tentative"])
            if told != shown.told:
                self._publisher.publish(LiveEvent(job.call_id, EventKind.PARTIAL, data))

    def _settled(self, job: Job, words: tuple[Word, ...]) -> tuple[Word, ...]:
        """A final's words: what was shown as stable stays."""
        progress = self._calls.get(job.call_id)
        if progress is None:
            return words
        shown = progress.open.get(job.key) or _OpenSegment(Stability())
        words = shown.stability.final(words)
        progress.delivered += shown.delivery.final(words, self._now_ms(job, _segment(job).end_ms))
        return words

    def _now_ms(self, job: Job, end_ms: int) -> int:
        """Now on the call's clock: the job was offered when its audio had come up to `end_ms`."""
        return end_ms + round(1000 * (self._clock.monotonic_s() - job.offered_at_s))

    async def _keep(self, call_id: CallId, final: Final) -> None:
        over = call_id not in self._calls
        events = await asyncio.shield(
            self._own(retry_in_thread("a final", lambda: self._store(call_id, final, over=over)))
        )
        for event in events:
            self._publisher.publish(event)

    def _own(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """As a task that outlives a cancelled worker; `close` waits for it."""
        task = asyncio.create_task(work)
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)
        return task

    def _store(self, call_id: CallId, final: Final, *, over: bool) -> list[LiveEvent]:
        """What is new. The live transcript of a call that is `over` here is kept again with its last spilled segment:
        a restart had kept it before they were decoded."""
        events = []
        with self._database.write() as conn:
            if finals.put(conn, call_id, final):
                told = LiveEvent(call_id, EventKind.FINAL, final_data(final))
                events.append(self._publisher.record(conn, told))
            last = spilled.remove(conn, call_id, final.segment) and not spilled.count(conn, call_id)
            if last and over:
                engine = self._host.capabilities.name
                told = put_live_transcript(conn, call_id, engine)
                events.append(self._publisher.record(conn, told))
                keep_text_score(conn, call_id)
        return events


def _segment(job: Job) -> Segment:
    end_ms = job.start_ms + round(job.samples16k.size * MS_A_SAMPLE16K)
    return Segment(job.role, job.number, job.start_ms, end_ms)


def partial_data(job: Job, showing: Showing, end_ms: int) -> dict[str, Json]:
    """An open segment as event data. `text` is `stable`, which will stay, and then `tentative`."""
    return {
        "role": job.role,
        "number": job.number,
        "start_ms": job.start_ms,
        "end_ms": end_ms,
        "text": _text(showing.words),
        "stable": _text(showing.stable),
        "tentative": _text(showing.tentative),
    }


def _text(words: Iterable[Word]) -> str:
    return join_words(word.text for word in words)


def final_data(final: Final) -> dict[str, Json]:
    """A final as event data."""
    known = [word.confidence for word in final.words if word.confidence is not None]
    return {
        "role": final.segment.role,
        "number": final.segment.number,
        "start_ms": final.segment.start_ms,
        "end_ms": final.segment.end_ms,
        "text": final.text,
        "confidence": round(sum(known) / len(known), 3) if known else None,
        "failed": final.failed,
        "fallback_engine": final.fallback_engine,
    }


def keep_live_transcript(database: Database, publisher: EventPublisher, call_id: CallId, engine: str) -> None:
    """Merge a call's live finals into turns and keep them as its live transcript. Blocking, repeatable."""
    with database.write() as conn:
        event = publisher.record(conn, put_live_transcript(conn, call_id, engine))
    publisher.publish(event)


def put_live_transcript(
    conn: Connection, call_id: CallId, engine: str, able: Capabilities | None = None, why: str = ""
) -> LiveEvent:
    """The same in a transaction, whose event is to be recorded in it.

    `able` is what is known of the engine: its model, and what a minute of it costs; `why` why it was taken.
    """
    made = finals.of_call(conn, call_id)
    turns = merge_turns(made)
    row = calls.get(conn, call_id)
    language = row.language if row is not None else ""
    if not language and able is not None and len(able.languages) == 1:
        language = able.languages[0]
    kept = Provenance("", why, heard_ms(made), able.cost_per_minute if able else 0.0, language)
    transcripts.put(conn, call_id, TranscriptKind.LIVE, engine, able.model if able else "", turns, kept)
    return LiveEvent(call_id, EventKind.TRANSCRIPT, {"kind": TranscriptKind.LIVE, "turns": len(turns)})
