"""The durable engine in memory: each step is done once and its outcome kept, a failed workflow runs again when it is due."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar, cast

from callreel.domain.work import Workflow, WorkItem, WorkQueue, WorkState
from callreel.postcall.durable import Body, RetryPolicy, StepFailedError, Steps
from callreel.runtime.clock import Clock
from callreel.runtime.retry import Retry, decide
from tests.support.installation import NOON, SteppedClock

T = TypeVar("T")
Run = tuple[Workflow, str, int]
"""Workflow, key and attempt."""


def retry_policy(park_after: int = 8) -> RetryPolicy:
    """The real one, without jitter."""
    return lambda error, failure: decide(error, failure, park_after=park_after, jitter=1.0)


@dataclass(slots=True)
class FakeEngine(WorkQueue):
    """`die_in` names a step after whose effect the process dies, once."""

    bodies: dict[Workflow, Body] = field(default_factory=dict)
    policy: RetryPolicy = field(default_factory=retry_policy)
    clock: Clock = field(default_factory=SteppedClock)
    ran: list[str] = field(default_factory=list)
    die_in: str | None = None
    waiting: dict[Run, tuple[float | None, StepFailedError]] = field(default_factory=dict)
    """Attempts that wait, with when each is due."""
    queue: list[Run] = field(default_factory=list)
    _outcomes: dict[tuple[Run, str], object] = field(default_factory=dict)
    _known: set[Run] = field(default_factory=set)

    def start(self, workflow: Workflow, key: str) -> None:
        if not self.run_now(workflow, key):
            self.enqueue((workflow, key, 0))

    def enqueue(self, run: Run) -> None:
        if run not in self._known:
            self._known.add(run)
            self.queue.append(run)

    def work(self) -> None:
        """Run what is queued, and what that queues, until nothing is."""
        while self.queue:
            workflow, key, attempt = run = self.queue[0]
            try:
                self.bodies[workflow](FakeSteps(self, run), key)
            except StepFailedError as failed:
                retry = failed.retry
                if retry.after_s is not None or retry.parked:
                    due_s = None if retry.after_s is None else self.clock.monotonic_s() + retry.after_s
                    self.waiting[(workflow, key, attempt + 1)] = (due_s, failed)
            self.queue.pop(0)

    def work_on(self, workflow: Workflow, key: str) -> None:
        """Start one and run it to its end, with all that follows."""
        self.start(workflow, key)
        self.work()

    def work_due(self) -> None:
        """The same for attempts whose time has come."""
        now_s = self.clock.monotonic_s()
        due = [run for run, (due_s, _) in self.waiting.items() if due_s is not None and due_s <= now_s]
        for run in due:
            del self.waiting[run]
            self.enqueue(run)
        self.work()

    @property
    def waits_s(self) -> list[float | None]:
        return [failed.retry.after_s for _, failed in self.waiting.values()]

    def work_through(self, most: int = 50) -> list[float]:
        """Let time pass from attempt to attempt until nothing waits or all that waits is parked; answers the waits."""
        waited: list[float] = []
        self.work()
        while len(waited) < most and any(not failed.retry.parked for _, failed in self.waiting.values()):
            wait_s = min(
                due_s - self.clock.monotonic_s() for due_s, _ in self.waiting.values() if due_s is not None
            )
            waited.append(wait_s)
            assert isinstance(self.clock, SteppedClock)
            self.clock.step(wait_s)
            self.work_due()
        return waited

    # What pages are given of the real one.

    def unfinished(self, *prefixes: str) -> Sequence[WorkItem]:
        items = [
            WorkItem(
                workflow, key, WorkState.PARKED if failed.retry.parked else WorkState.RETRYING, NOON, attempt,
                failed.step, failed.retry.reason,
                None if due_s is None else self.clock.now() + timedelta(seconds=due_s - self.clock.monotonic_s()),
            )
            for (workflow, key, attempt), (due_s, failed) in self.waiting.items()
        ]  # fmt: skip
        items += [WorkItem(run[0], run[1], WorkState.QUEUED, NOON, run[2]) for run in self.queue]
        return [item for item in items if not prefixes or item.key.startswith(prefixes)]

    def run_now(self, workflow: Workflow, key: str) -> int:
        found = [run for run in self.waiting if run[0] is workflow and run[1].startswith(key)]
        for run in found:
            del self.waiting[run]
            self.enqueue(run)
        return len(found)

    def cancel(self, workflow: Workflow, key: str) -> int:
        found = [run for run in self.waiting if run[0] is workflow and run[1].startswith(key)]
        for run in found:
            del self.waiting[run]
        return len(found)

    def park(self, workflow: Workflow, key: str, step: str, reason: str) -> None:
        """Make a parked attempt, as if all before it had failed."""
        self.waiting[(workflow, key, 1)] = (None, StepFailedError(step, Retry(reason, None, parked=True)))


@dataclass(slots=True)
class FakeSteps(Steps):
    engine: FakeEngine
    within: Run

    def run(self, name: str, work: Callable[[], T]) -> T:
        engine, step = self.engine, (self.within, name)
        if step not in engine._outcomes:
            engine.ran.append(name)
            outcome = self._outcome(name, work)
            if name == engine.die_in:
                engine.die_in = None
                raise KeyboardInterrupt
            engine._outcomes[step] = outcome
        known = engine._outcomes[step]
        if isinstance(known, StepFailedError):
            raise known
        return cast(T, known)

    def _outcome(self, name: str, work: Callable[[], object]) -> object:
        try:
            return work()
        except Exception as error:
            return StepFailedError(name, self.engine.policy(error, self.within[2] + 1))

    def then(self, workflow: Workflow, key: str) -> None:
        self.engine.enqueue((workflow, key, self.within[2]))
