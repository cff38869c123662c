"""Which job is decoded next, and what is shed when engines cannot keep up.

It orders jobs; the worker processes and the clock are the caller's. Partials are shed first and counted, finals never;
`asr/overload.py` says when.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TypeAlias

from callreel.asr.overload import Backlog, Overload, OverloadLevel
from callreel.audio.samples import ASR_SAMPLES_PER_MS, Samples
from callreel.domain.call import Role
from callreel.domain.ids import CallId

MAX_PARTIAL_AGE_S = 1.5
"""A partial that waited longer describes a segment that has moved on."""


SegmentKey: TypeAlias = tuple[CallId, Role, int]
"""Call, role and start in ms: the identity of a segment, open or closed."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One decode of a segment: `samples16k` is 16 kHz mono int16, shape [n], beginning at `start_ms` of the call.

    `number` is the segment's number within the role. Two jobs are equal only if they are the same object.
    """

    call_id: CallId
    role: Role
    number: int
    start_ms: int
    samples16k: Samples
    final: bool
    offered_at_s: float

    @property
    def key(self) -> SegmentKey:
        """Identifies the segment. `number` is not unique: when a segment is dropped as too short, the next one reuses it."""
        return self.call_id, self.role, self.start_ms


class DecodeQueue:
    """Waiting and running jobs of all calls, for `workers` engine processes.

    - Finals go first: the oldest of a call, calls in turn. They are never dropped. Those that are not taken in while the
      level is `SPILLING` are for the caller to spill, which bounds what waits here to about ten minutes of audio.
    - One partial waits for each (call, role); a newer one replaces it, and the final of its segment removes it.
    - While the level is `NO_PARTIALS` or above, no partial is taken in.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError(f"a queue needs at least 1 worker, not {workers}")
        self._workers = workers
        self._finals: OrderedDict[CallId, deque[Job]] = OrderedDict()
        self._partials: OrderedDict[tuple[CallId, Role], Job] = OrderedDict()
        self._running: set[Job] = set()
        self._overload = Overload(workers)
        self._now_s = 0.0
        self.partials_shed = 0

    @property
    def finals_waiting(self) -> int:
        """Finals that no worker has been given yet."""
        return sum(len(jobs) for jobs in self._finals.values())

    @property
    def level(self) -> OverloadLevel:
        """What is given up now."""
        return self._overload.level

    @property
    def partials_on(self) -> bool:
        return self.level < OverloadLevel.NO_PARTIALS

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
        return sum(
            job.samples16k.size // ASR_SAMPLES_PER_MS for jobs in self._finals.values() for job in jobs
        )

    def final_age_s(self, now_s: float) -> float:
        """How long the oldest waiting final has waited, on the clock of `offered_at_s`. 0 without any."""
        return max((now_s - jobs[0].offered_at_s for jobs in self._finals.values()), default=0.0)

    def offer_final(self, job: Job) -> bool:
        """Take a closed segment. Its waiting partial, if any, has become pointless and is shed.

        False when the level is `SPILLING`: the job is not taken in, and is to be offered again by `take_back` when there
        `has_room`.
        """
        if not job.final:
            raise ValueError("offer_final was given a partial")
        waiting = self._partials.get((job.call_id, job.role))
        if waiting is not None and waiting.number <= job.number:
            self._give_up(waiting)
        self._look(job.offered_at_s)
        if self.level is OverloadLevel.SPILLING:
            return False
        self.take_back(job)
        return True

    @property
    def has_room(self) -> bool:
        """Whether a closed segment that was spilled can be taken back: a worker is free and no final waits."""
        return not self._finals and len(self._running) < self._workers

    def take_back(self, job: Job) -> None:
        """Take a closed segment, whatever the level."""
        self._finals.setdefault(job.call_id, deque()).append(job)
        self._look(job.offered_at_s)

    def offer_partial(self, job: Job) -> bool:
        """Take an open segment, replacing the one that waits for its (call, role). False when it was refused."""
        if job.final:
            raise ValueError("offer_partial was given a final")
        self._look(job.offered_at_s)
        if not self.partials_on:
            self.partials_shed += 1
            return False
        track = (job.call_id, job.role)
        if track in self._partials:
            self._shed()
        self._partials[track] = job  # a replaced job keeps its place in the line
        return True

    def next(self, now_s: float | None = None) -> Job | None:
        """The job to decode now, which then counts as running; None when there is none or no worker is free.

        With `now_s` (the clock of `offered_at_s`), partials that waited longer than 1.5 s are shed.
        """
        self._look(now_s)
        if len(self._running) >= self._workers:
            return None
        job = self._next_final() or self._next_partial(now_s)
        if job is not None:
            self._running.add(job)
        return job

    def done(self, job: Job) -> None:
        """The job was answered, or given up; its worker is free again."""
        self._running.remove(job)

    def _next_final(self) -> Job | None:
        if not self._finals:
            return None
        call_id, jobs = next(iter(self._finals.items()))
        job = jobs.popleft()
        if jobs:
            self._finals.move_to_end(call_id)
        else:
            del self._finals[call_id]
        self._look(None)
        return job

    def _next_partial(self, now_s: float | None) -> Job | None:
        busy = {(job.call_id, job.role) for job in self._running}
        for track, job in list(self._partials.items()):
            if now_s is not None and now_s - job.offered_at_s > MAX_PARTIAL_AGE_S:
                self._give_up(job)
            elif track not in busy:
                return self._partials.pop(track)
        return None

    def _look(self, now_s: float | None) -> None:
        """See where we are, at a time that never goes back."""
        self._now_s = max(self._now_s, now_s or 0.0)
        most = max((len(jobs) for jobs in self._finals.values()), default=0)
        oldest_s = self.final_age_s(self._now_s)
        backlog = Backlog(self.finals_waiting, most, oldest_s, self.waiting_audio_ms)
        self._overload.look(backlog, self._now_s)
        if not self.partials_on:
            for job in list(self._partials.values()):
                self._give_up(job)

    def _give_up(self, job: Job) -> None:
        del self._partials[job.call_id, job.role]
        self._shed()

    def _shed(self) -> None:
        self.partials_shed += 1
        self._overload.shed(self._now_s)
