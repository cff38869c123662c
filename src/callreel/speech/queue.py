"""What is decoded next, and what is shed, when engines cannot keep up.

It is not a worker pool and holds no clock: it orders jobs for whoever owns the engine processes. Follows the order of
sacrifice in reference/speech.md, section 5: partials are shed first and counted, finals never.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from callreel.domain.call import Role
from callreel.domain.ids import CallId

MAX_PARTIAL_AGE_S = 1.5
"""A partial that waited longer describes a segment that has moved on."""

MAX_FINALS_OF_A_CALL = 2
"""More waiting finals than this on one call turn partials off for all."""


SegmentKey: TypeAlias = tuple[CallId, Role, int]
"""Call, role and start in ms: what an engine knows an open segment by."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One decode of a segment: `samples16k` is 16 kHz mono int16, shape [n], beginning at `start_ms` of the call.

    `number` is the segment's number within the role. Two jobs are equal only if they are the same object.
    """

    call_id: CallId
    role: Role
    number: int
    start_ms: int
    samples16k: npt.NDArray[np.int16]
    final: bool
    offered_at_s: float

    @property
    def key(self) -> SegmentKey:
        """The segment. Its number would not do: one that is dropped as too short leaves its number to the next."""
        return self.call_id, self.role, self.start_ms


class DecodeQueue:
    """Waiting and running jobs of all calls, for `workers` engine processes.

    - Finals go first: the oldest of a call, calls in turn. They are never dropped, so their number has no bound; at
      32 kB a second of speech an hour of backlog is 115 MB, and `waiting_audio_ms` shows it.
    - One partial waits for each (call, role); a newer one replaces it, and the final of its segment removes it.
    - While partials are off (more than two finals of one call wait, or more finals than workers) none is taken in.
      They come back when no final waits.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError(f"a queue needs at least 1 worker, not {workers}")
        self._workers = workers
        self._finals: OrderedDict[CallId, deque[Job]] = OrderedDict()
        self._partials: OrderedDict[tuple[CallId, Role], Job] = OrderedDict()
        self._running: set[Job] = set()
        self.partials_shed = 0
        self.partials_on = True

    @property
    def finals_waiting(self) -> int:
        """Finals that no worker has been given yet."""
        return sum(len(jobs) for jobs in self._finals.values())

    @property
    def partials_waiting(self) -> int:
        return len(self._partials)

    @property
    def running(self) -> int:
        """Jobs given out by `next` and not yet `done`."""
        return len(self._running)

    @property
    def waiting_audio_ms(self) -> int:
        """Length of the audio of all waiting finals."""
        return sum(job.samples16k.size // 16 for jobs in self._finals.values() for job in jobs)

    def final_age_s(self, now_s: float) -> float:
        """How long the oldest waiting final has waited, on the clock of `offered_at_s`. 0 without any."""
        return max((now_s - jobs[0].offered_at_s for jobs in self._finals.values()), default=0.0)

    def offer_final(self, job: Job) -> None:
        """Take a closed segment. Its waiting partial, if any, has become pointless and is shed."""
        if not job.final:
            raise ValueError("offer_final was given a partial")
        self._finals.setdefault(job.call_id, deque()).append(job)
        waiting = self._partials.get((job.call_id, job.role))
        if waiting is not None and waiting.number <= job.number:
            self._shed(waiting)
        if len(self._finals[job.call_id]) > MAX_FINALS_OF_A_CALL or self.finals_waiting > self._workers:
            self._turn_partials_off()

    def offer_partial(self, job: Job) -> bool:
        """Take an open segment, replacing the one that waits for its (call, role). False when it was refused."""
        if job.final:
            raise ValueError("offer_partial was given a final")
        if not self.partials_on:
            self.partials_shed += 1
            return False
        track = (job.call_id, job.role)
        if track in self._partials:
            self.partials_shed += 1
        self._partials[track] = job  # a replaced job keeps its place in the line
        return True

    def next(self, now_s: float | None = None, ready: Callable[[Job], bool] = lambda job: True) -> Job | None:
        """The job to decode now, which then counts as running; None when there is none or no worker is free.

        With `now_s` (the clock of `offered_at_s`), partials that waited longer than 1.5 s are shed. `ready` says
        whether the worker that a job needs is free: an open segment may be bound to the one that follows it.
        """
        if len(self._running) >= self._workers:
            return None
        job = self._next_final(ready) or self._next_partial(now_s, ready)
        if job is not None:
            self._running.add(job)
        return job

    def done(self, job: Job) -> None:
        """The job was answered, or given up; its worker is free again."""
        self._running.remove(job)

    def _next_final(self, ready: Callable[[Job], bool]) -> Job | None:
        call_id = next((call_id for call_id, jobs in self._finals.items() if ready(jobs[0])), None)
        if call_id is None:
            return None
        jobs = self._finals[call_id]
        job = jobs.popleft()
        if jobs:
            self._finals.move_to_end(call_id)
        else:
            del self._finals[call_id]
        self.partials_on = self.partials_on or not self._finals
        return job

    def _next_partial(self, now_s: float | None, ready: Callable[[Job], bool]) -> Job | None:
        busy = {(job.call_id, job.role) for job in self._running}
        for track, job in list(self._partials.items()):
            if now_s is not None and now_s - job.offered_at_s > MAX_PARTIAL_AGE_S:
                self._shed(job)
            elif track not in busy and ready(job):
                return self._partials.pop(track)
        return None

    def _turn_partials_off(self) -> None:
        self.partials_on = False
        for job in list(self._partials.values()):
            self._shed(job)

    def _shed(self, job: Job) -> None:
        del self._partials[job.call_id, job.role]
        self.partials_shed += 1
