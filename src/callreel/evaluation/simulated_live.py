"""A recording transcribed as if it were live, faster than real time: the clock is simulated, endpointing and queue are real.

Both lanes come frame by frame; `EndpointDetector` cuts segments, `DecodeQueue` orders and sheds jobs, and a worker is busy
for the processor time of each decode. Network, database and browser are left out.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from callreel.asr.decode_queue import DecodeQueue, Job, SegmentKey
from callreel.asr.overload import OverloadLevel
from callreel.asr.partial_cadence import PartialCadence
from callreel.asr.stability import Showing, Stability
from callreel.asr.turns import words_from
from callreel.audio.resample import Upsampler
from callreel.audio.samples import ASR_SAMPLES_PER_MS, SAMPLES_PER_MS, Samples
from callreel.audio.segmenter import SegmenterOptions, SpeechDetector
from callreel.domain.call import Role
from callreel.domain.ids import CallId
from callreel.domain.transcript import Final, Segment
from callreel.evaluation.decoding import Decoded, Decoding
from callreel.evaluation.material import Recorded
from callreel.live.endpointing import EndpointDetector

BLOCK_MS = 20
"""A media message: what a lane gets at once."""
_CALL = CallId("evaluated")


@dataclass(frozen=True, slots=True)
class ShownPartial:
    """A partial as a listener got it."""

    role: Role
    number: int
    at_ms: float
    showing: Showing

    @property
    def words(self) -> tuple[str, ...]:
        """All that was shown, stable or not."""
        return tuple(word.text for word in self.showing.words)


@dataclass(frozen=True, slots=True)
class DeliveredFinal:
    """A final as a listener got it."""

    final: Final
    at_ms: float
    stable: int = 0
    """How many of its words had been shown as stable."""
    contradicted: int | None = None
    """How many of those the engine's own final does not have. They stayed."""


@dataclass(slots=True)
class LiveRun:
    """The events of one recording. Times count from its start."""

    finals: list[DeliveredFinal] = field(default_factory=list)
    partials: list[ShownPartial] = field(default_factory=list)
    finals_requested: int = 0
    partials_shed: int = 0
    finals_spilled: int = 0
    """Closed segments that had to wait on disk."""
    levels: list[OverloadLevel] = field(default_factory=list)
    """Overload levels in the order in which they were reached."""
    cpu_s: float = 0.0

    @property
    def finals_lost(self) -> int:
        """Closed segments without a final, or with a failed one."""
        return self.finals_requested - sum(not given.final.failed for given in self.finals)


async def simulate_live(
    recorded: Recorded,
    decoding: Decoding,
    *,
    workers: int,
    new_detector: Callable[[], SpeechDetector],
    segmenter: SegmenterOptions,
) -> LiveRun:
    """All lanes of `recorded` at once, from the first block to the last final."""
    decoding.begin(recorded)
    lanes = recorded.lanes()
    simulation = _Simulation(decoding, workers)
    endpointers = {role: simulation.endpointer(role, new_detector(), segmenter) for role in lanes}
    upsamplers = {role: Upsampler(0) for role in lanes}
    length_ms = max(lane.size for lane in lanes.values()) // SAMPLES_PER_MS
    for now_ms in range(BLOCK_MS, length_ms + BLOCK_MS, BLOCK_MS):
        await simulation.until(now_ms)
        for role, lane in lanes.items():
            block = lane[(now_ms - BLOCK_MS) * SAMPLES_PER_MS : now_ms * SAMPLES_PER_MS]
            endpointers[role].push(block, upsamplers[role].push(block))
        await simulation.start()
    for role, endpointer in endpointers.items():
        endpointer.push(np.zeros(0, np.int16), upsamplers[role].finish())
        endpointer.pause()
    await simulation.start()
    await simulation.until(float("inf"))
    return simulation.run


class _Simulation:
    """The workers and the clock. As `live/transcription`, it keeps partials that come too late to itself."""

    def __init__(self, decoding: Decoding, workers: int) -> None:
        self.run = LiveRun()
        self._decoding = decoding
        self._queue = DecodeQueue(workers)
        self._now_ms = 0.0
        self._running: list[tuple[float, int, Job, Decoded]] = []
        self._order = count()
        self._cadences: dict[Role, PartialCadence] = {}
        self._closed: dict[Role, int] = {}
        self._spilled: deque[Job] = deque()
        self._open: dict[SegmentKey, Stability] = {}

    def endpointer(self, role: Role, detector: SpeechDetector, options: SegmenterOptions) -> EndpointDetector:
        cadence = PartialCadence.for_engine(self._decoding.capabilities)
        if cadence is not None:
            self._cadences[role] = cadence
        return EndpointDetector(role, detector, options, cadence, self._request)

    async def until(self, now_ms: float) -> None:
        """Let the workers work up to `now_ms`."""
        while self._running and self._running[0][0] <= now_ms:
            self._now_ms, _, job, decoded = heapq.heappop(self._running)
            self._queue.done(job)
            self._answered(job, decoded)
            await self.start()
        self._now_ms = now_ms
        self.run.partials_shed = self._queue.partials_shed

    async def start(self) -> None:
        """Give waiting jobs to free workers, now."""
        while (job := self._next()) is not None:
            decoded = await self._decoding.decode(
                job.role,
                job.start_ms,
                job.samples16k,
                partial=not job.final,
                cheap=self._queue.level >= OverloadLevel.CHEAPER,
            )
            self.run.cpu_s += decoded.cpu_s
            end_ms = self._now_ms + decoded.took_ms
            heapq.heappush(self._running, (end_ms, next(self._order), job, decoded))

    def _next(self) -> Job | None:
        job = self._queue.next(self._now_ms / 1000)
        if self.run.levels[-1:] != [self._queue.level]:
            self.run.levels.append(self._queue.level)
        if job is None and self._spilled and self._queue.has_room:
            self._queue.take_back(replace(self._spilled.popleft(), offered_at_s=self._now_ms / 1000))
            return self._next()
        return job

    def _request(self, role: Role, number: int, start_ms: int, samples: Samples, final: bool) -> None:
        job = Job(_CALL, role, number, start_ms, samples, final, self._now_ms / 1000)
        if final:
            self.run.finals_requested += 1
            self._closed[role] = number
            if not self._queue.offer_final(job):
                self.run.finals_spilled += 1
                self._spilled.append(job)
        else:
            self._queue.offer_partial(job)

    def _answered(self, job: Job, decoded: Decoded) -> None:
        words = words_from(decoded.words, job.start_ms)
        if job.final:
            end_ms = job.start_ms + job.samples16k.size // ASR_SAMPLES_PER_MS
            segment = Segment(job.role, job.number, job.start_ms, end_ms)
            stability = self._open.pop(job.key, Stability())
            final = Final(segment, stability.final(words), decoded.failed)
            stable, contradicted = len(stability.stable), stability.contradicted(words)
            self.run.finals.append(DeliveredFinal(final, self._now_ms, stable, contradicted))
            return
        if job.role in self._cadences:
            self._cadences[job.role].answered(self._now_ms - 1000 * job.offered_at_s)
        if not decoded.failed and job.number > self._closed.get(job.role, -1):
            until_ms = job.start_ms + job.samples16k.size // ASR_SAMPLES_PER_MS
            new = Stability.for_engine(self._decoding.capabilities)
            showing = self._open.setdefault(job.key, new).update(words, until_ms)
            self.run.partials.append(ShownPartial(job.role, job.number, self._now_ms, showing))
