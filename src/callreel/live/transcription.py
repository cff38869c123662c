"""The live transcript: segments from the endpoint detectors to the engine, and their text to listeners.

Partials may be shed, finals never: the decode queue decides, this drives it. One task for each engine worker takes the
next job. A final is stored before its event is published. Segments for which the queue has no room are spilled to disk
(`live/spill.py`) and decoded when no other final waits.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection

from callreel.asr.decode_queue import DecodeQueue, Job, SegmentKey
from callreel.asr.delivery import Delivered, SegmentDelivery
from callreel.asr.engine import Transcription
from callreel.asr.overload import OverloadLevel
from callreel.asr.partial_cadence import PartialCadence
from callreel.asr.stability import Stability
from callreel.asr.turns import words_from
from callreel.asr.workers.pool import StartedEngine
from callreel.audio.samples import ASR_SAMPLES_PER_MS, Samples
from callreel.audio.segmenter import SegmenterOptions, SpeechDetector
from callreel.cluster.event_publisher import EventPublisher
from callreel.cluster.group_commit import GroupCommit, Written
from callreel.domain.call import Role
from callreel.domain.errors import EngineError, StoreError
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.transcript import Final, Segment, Word
from callreel.live.endpointing import (
    EndpointDetector,
    NoTranscript,
    Probabilities,
    SpeechDetection,
    one_by_one,
)
from callreel.live.phrase_watch import PhraseWatch
from callreel.live.spill import Spill
from callreel.live.transcript import (
    LiveText,
    OutdatedTextError,
    live_text,
    partial_data,
    put_final,
    put_live_transcript,
)
from callreel.review.live_score import save_delivery
from callreel.runtime.clock import Clock
from callreel.runtime.counters import Counters
from callreel.store.db.write_retry import SHUT_DOWN_S, retry_in_thread, retry_until_stored

log = logging.getLogger(__name__)

T = TypeVar("T")

DISABLED_LAG_MS = 1_000
"""How long 16 kHz samples may wait where nothing is transcribed live: larger blocks cost less."""
SPILL_CHECK_S = 30.0
"""How often an idle worker checks for spilled segments of a dead process."""


@dataclass(slots=True)
class _OpenSegment:
    """What has been shown of a segment that is still open."""

    stability: Stability
    delivery: SegmentDelivery = field(default_factory=SegmentDelivery)
    published: tuple[Json, Json] | None = None
    """Stable and tentative text of the last event."""


@dataclass(slots=True)
class _CallProgress:
    """What is still to be decoded for one call."""

    finals_open: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    cadences: dict[Role, PartialCadence] = field(default_factory=dict)
    closed: dict[Role, int] = field(default_factory=dict)
    """The newest closed segment of each role: partials of it, or of earlier ones, are dropped."""
    open: dict[SegmentKey, _OpenSegment] = field(default_factory=dict)
    """Segments that were decoded while open, until their final."""
    spilled: set[tuple[Role, int]] = field(default_factory=set)
    """Segments that this process spilled; those of the call's former owner are not among its open finals."""
    language: str = ""
    """Of the call; empty for what the engine expects."""
    delivered: Delivered = Delivered()
    """Of the segments that are final."""


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """`enabled` False: calls are only recorded, nothing is detected or decoded live. `watches` look for phrases in the words.
    `probabilities` runs detectors of several lanes together.
    """

    workers: int
    new_detector: Callable[[], SpeechDetector]
    segmenter: SegmenterOptions
    enabled: bool = True
    watches: Sequence[PhraseWatch[Any]] = ()
    probabilities: Probabilities = one_by_one


class LiveTranscription:
    """Owns the decode queue and the tasks that empty it. All methods run on the event loop."""

    def __init__(
        self,
        engine: StartedEngine,
        commits: GroupCommit,
        publisher: EventPublisher,
        clock: Clock,
        counters: Counters,
        spill: Spill,
        options: LiveOptions,
    ) -> None:
        self._chosen = engine
        self._engine = engine.host
        self._commits = commits
        self._publisher = publisher
        self._clock = clock
        self._counters = counters
        self._spill = spill
        self._options = options
        self._queue = DecodeQueue(options.workers)
        self._detection = SpeechDetection(options.probabilities)
        self._wake = asyncio.Event()
        self._calls: dict[CallId, _CallProgress] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._storing: set[asyncio.Task[Any]] = set()
        self.transcript_stored: Callable[[], None] = lambda: None
        """Called when a call's live transcript is stored, for which the work after the call waits."""

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
        """What is shed now because the engines cannot keep up."""
        return self._queue.level

    @property
    def max_lag_ms(self) -> int:
        """How long 16 kHz samples may wait before endpointing."""
        return 0 if self._options.enabled else DISABLED_LAG_MS

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
        self._own(self._check_spilled())
        self._tasks = [
            asyncio.create_task(self._work(), name=f"live-{n}") for n in range(self._options.workers)
        ]

    async def close(self) -> None:
        """Stop decoding at once, and wait for writes, `SHUT_DOWN_S` at most: the database may be unavailable.

        A spilled segment is decoded at the next start; any other is transcribed from the layers after the call.
        """
        for task in self._tasks:
            task.cancel()
        if self._storing:
            await asyncio.wait(self._storing, timeout=SHUT_DOWN_S)
        if left := list(self._storing):
            log.error(
                "%d final segments were not saved (database unavailable); their audio is kept", len(left)
            )
        for task in left:
            task.cancel()
        await asyncio.gather(*self._tasks, *left, return_exceptions=True)

    def endpointer(
        self, call_id: CallId, role: Role, first_number: int = 0, *, language: str = ""
    ) -> EndpointDetector | NoTranscript:
        """The endpoint detector of one lane of a call; its segments are numbered from `first_number` on.

        A call in a `language` that the engine does not support is only recorded, and transcribed after it ends.
        """
        if not self._options.enabled:
            return NoTranscript()
        if not self._engine.capabilities.supports(language):
            log.warning(
                "live transcript disabled for call: the engine does not support its language",
                extra={"call_id": call_id, "language": language},
            )
            return NoTranscript()
        progress = self._calls.setdefault(call_id, _CallProgress())
        progress.language = language
        cadence = PartialCadence.for_engine(self._engine.capabilities)
        if cadence is not None:
            progress.cadences[role] = cadence

        def request(role: Role, number: int, start_ms: int, samples: Samples, final: bool) -> None:
            self._offer(Job(call_id, role, number, start_ms, samples, final, self._clock.monotonic_s()))

        def dropped(role: Role, start_ms: int) -> None:
            progress.open.pop((call_id, role, start_ms), None)

        return EndpointDetector(
            role,
            self._options.new_detector(),
            self._options.segmenter,
            cadence,
            request,
            first_number,
            dropped,
            self._detection,
        )

    def _offer(self, job: Job) -> None:
        if job.final:
            progress = self._calls.setdefault(job.call_id, _CallProgress())
            progress.finals_open += 1
            progress.closed[job.role] = job.number
            progress.idle.clear()
            if not self._queue.offer_final(job):
                progress.spilled.add(_segment(job).key)
                self._own(self._spill_job(job))
        elif self._queue.offer_partial(job):
            progress = self._calls.setdefault(job.call_id, _CallProgress())
            progress.open.setdefault(job.key, _OpenSegment(Stability.for_engine(self._engine.capabilities)))
        self._wake.set()

    async def _spill_job(self, job: Job) -> None:
        await self._spill.put(job.call_id, _segment(job))
        self._wake.set()

    async def finish_call(self, call_id: CallId) -> None:
        """Wait until every segment of the call has its final, then store the live transcript."""
        progress = self._calls.get(call_id)
        while progress is not None and progress.finals_open:
            progress.idle.clear()
            await progress.idle.wait()
        engine = self._chosen.capabilities
        delivered = progress.delivered if progress is not None else None

        def write(conn: Connection) -> Written:
            event = put_live_transcript(conn, call_id, text, engine.name, engine, self._chosen.reason)
            if delivered is not None:
                save_delivery(conn, call_id, delivered)
            return Written((event,))

        while True:
            text = await retry_in_thread(
                "a live transcript", lambda: live_text(self._commits.database, call_id)
            )
            try:
                await retry_until_stored("a live transcript", lambda: self._commits.commit(write))
                break
            except OutdatedTextError:
                continue
        self.transcript_stored()
        self.forget(call_id)

    def forget(self, call_id: CallId) -> None:
        """Another process owns the call now and stores its transcript; waiting segments are still decoded for it."""
        self._calls.pop(call_id, None)
        for watch in self._options.watches:
            watch.forget(call_id)

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            job = self._queue.next(self._clock.monotonic_s())
            if job is None:
                if not await self._take_back():
                    await self._wait_for_work()
                continue
            if self._queue.finals_waiting or self._queue.partials_waiting:
                self._wake.set()  # for the other workers
            try:
                await self._decode(job)
            except Exception:
                log.exception("final not stored", extra={"call_id": job.call_id})
                self._counters.add("segments_failed")
            finally:
                self._over(job)

    async def _wait_for_work(self) -> None:
        """Until a job may wait."""
        try:
            async with asyncio.timeout(SPILL_CHECK_S):
                await self._wake.wait()
        except TimeoutError:
            await self._check_spilled()

    async def _check_spilled(self) -> None:
        try:
            await self._spill.look()
        except StoreError as error:
            log.warning("spilled segments not listed: %s", error)
        if self._spill.waiting:
            self._wake.set()

    async def _take_back(self) -> bool:
        """Put a spilled segment back into the queue, if a worker has nothing else to do."""
        if not self._spill.waiting or not self._queue.has_room:
            return False
        try:
            found = await self._spill.take(self._calls)
        except StoreError as error:
            log.warning("spilled segment not read: %s", error)
            return False
        if found is None:
            return False
        segment, now_s = found.segment, self._clock.monotonic_s()
        progress = self._calls.get(found.call_id)
        if progress is not None and segment.key not in progress.spilled:
            progress.finals_open += 1  # a former owner spilled it
        if not found.samples16k.size:
            log.error("spilled segment has no audio any more", extra={"call_id": found.call_id})
            self._counters.add("segments_failed")
            await self._keep(found.call_id, Final(segment, (), failed=True))
            self._final_over(found.call_id)
            return True
        self._queue.take_back(
            Job(found.call_id, segment.role, segment.number, segment.start_ms, found.samples16k, True, now_s)
        )
        return True

    def _over(self, job: Job) -> None:
        """The job ended, successfully or not."""
        self._queue.done(job)
        self._wake.set()
        progress = self._calls.get(job.call_id)
        if job.final and progress is not None:
            progress.open.pop(job.key, None)
            self._final_over(job.call_id)

    def _final_over(self, call_id: CallId) -> None:
        progress = self._calls.get(call_id)
        if progress is not None:
            progress.finals_open -= 1
            progress.idle.set()

    async def _decode(self, job: Job) -> None:
        failed = False
        try:
            progress = self._calls.get(job.call_id)
            [words] = await self._engine.decode(
                [job.samples16k],
                partial=not job.final or self.overload >= OverloadLevel.CHEAPER,
                language=progress.language if progress is not None else "",
            )
        except EngineError as error:
            log.warning("segment not decoded: %s", error, extra={"call_id": job.call_id})
            self._counters.add("segments_failed")
            words, failed = Transcription(), True
        placed = words_from(words, job.start_ms)
        if job.final:
            final = Final(_segment(job), self._final_words(job, placed), failed, words.fallback_engine)
            self._watch(
                job.call_id, lambda watch: watch.final(job.call_id, job.role, job.number, final.words)
            )
            await self._keep(job.call_id, final)
        elif not failed:
            self._partial(job, placed)

    def _partial(self, job: Job, words: tuple[Word, ...]) -> None:
        progress = self._calls.get(job.call_id)
        if progress is None:
            return
        if job.role in progress.cadences:
            progress.cadences[job.role].answered(1000 * (self._clock.monotonic_s() - job.offered_at_s))
        shown = progress.open.get(job.key)
        if shown is not None and job.number > progress.closed.get(job.role, -1):
            segment = _segment(job)
            showing = shown.stability.update(words, segment.end_ms)
            shown.delivery.show(showing.words, self._now_ms(job))
            self._watch(
                job.call_id, lambda watch: watch.stable(job.call_id, job.role, job.number, showing.stable)
            )
            data = partial_data(segment, showing)
            before, shown.published = shown.published, (data["stable"], data["tentative"])
            if before != shown.published:
                self._publisher.publish(LiveEvent(job.call_id, EventKind.PARTIAL, data))

    def _watch(self, call_id: CallId, look: Callable[[PhraseWatch[Any]], None]) -> None:
        """Let each watch look for its phrases. One that fails costs no text."""
        for watch in self._options.watches:
            try:
                look(watch)
            except Exception:
                log.exception("phrases not looked for", extra={"call_id": call_id})
            if call_id not in self._calls:  # a spilled segment of a call that is over
                watch.forget(call_id)

    def _final_words(self, job: Job, words: tuple[Word, ...]) -> tuple[Word, ...]:
        """A final's words: stable ones stay as they were shown."""
        progress = self._calls.get(job.call_id)
        if progress is None:
            return words
        shown = progress.open.get(job.key) or _OpenSegment(Stability())
        words = shown.stability.final(words)
        progress.delivered += shown.delivery.final(words, self._now_ms(job))
        return words

    def _now_ms(self, job: Job) -> int:
        """Now on the call's clock: the job was offered when its audio had come up to its end."""
        return _segment(job).end_ms + round(1000 * (self._clock.monotonic_s() - job.offered_at_s))

    async def _keep(self, call_id: CallId, final: Final) -> None:
        ended, engine = call_id not in self._calls, self._engine.capabilities.name

        async def store() -> None:
            text: LiveText | None = None

            def write(conn: Connection) -> Written:
                return Written(tuple(put_final(conn, call_id, final, ended=ended, engine=engine, text=text)))

            while True:
                try:
                    return await retry_until_stored("a final", lambda: self._commits.commit(write))
                except OutdatedTextError:
                    text = await retry_in_thread(
                        "a final", lambda: live_text(self._commits.database, call_id, final)
                    )

        await asyncio.shield(self._own(store()))

    def _own(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task that survives a cancelled worker; `close` waits for it."""
        task = asyncio.create_task(work)
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)
        return task


def _segment(job: Job) -> Segment:
    end_ms = job.start_ms + job.samples16k.size // ASR_SAMPLES_PER_MS
    return Segment(job.role, job.number, job.start_ms, end_ms)
