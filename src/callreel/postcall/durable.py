"""Durable workflows: the only module that imports the library (DBOS Transact).

A workflow is a plain function `body(steps, key)`. Only the library records its progress: our tables hold facts, and orders
to start a workflow (`store/calls/outbox`). When the body runs again after a crash, a finished step returns its recorded
result and an interrupted step runs again, so every step is idempotent and a body has no effects outside its steps.

A failed step ends its workflow. The next attempt is a separate workflow, queued with a delay, so that waiting uses neither
a thread nor a slot among the concurrent workflows (`runtime/retry` decides when).

What this module adds to the library (reference/engine.md, section 1): WAL mode on SQLite, a JSON serializer instead of
pickle, unique executor ids, a fixed application version (an automatic one strands unfinished work), and recovery of the
work of dead processes. The private attributes that it uses are listed in docs/dependencies.md.
"""

import logging
import math
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from dbos import (
    DBOS,
    DBOSClient,
    DBOSConfig,
    DBOSPortableJSONSerializer,
    Queue,
    SetEnqueueOptions,
    SetWorkflowAttributes,
    SetWorkflowID,
    WorkflowStatus,
)
from dbos._dbos import _get_dbos_instance
from sqlalchemy.exc import OperationalError, ProgrammingError

from callreel.domain.errors import CallreelError
from callreel.domain.events import Json
from callreel.domain.work import Workflow, WorkItem, WorkState
from callreel.runtime.retry import Retry

log = logging.getLogger(__name__)

T = TypeVar("T")

APPLICATION = "callreel"
VERSION = "callreel-workflows-1"
"""Fixed: an automatic version would strand unfinished work at each upgrade. Change it only with a drain."""

POLL_S = 0.4
"""How often a process looks for work that other processes queued: 0.2 s of delay on average."""
IDLE_POLL_S = 2.0
"""The same for a server, which queues nearly all work and starts that at once. Each look costs about 2 ms of processor time."""
EXPECTED_S = 3.0
"""How long a queue is polled each POLL_S after work was queued or ended here: the library queues work whose delay has ended within about a second, and counts a workflow as running until shortly after its end."""
_LOOK_S = 0.1
"""The library's own wait before each look: at most ten looks a second in each queue, however much work ends."""
MOST_AT_ONCE = 1_000
"""The default concurrency of one queue in one process."""
MOST_DELETED = 500
"""How many finished workflows are deleted in one transaction."""
SHUT_DOWN_S = 5.0
"""How long a stopping process waits for running steps."""
UNTIL_RETRIED_S = 10 * 365 * 86_400.0
"""The delay of an attempt that only a person can start."""

_KEY = re.compile(r"(?P<key>.*?)(?:~(?P<attempt>[0-9]+))?", re.DOTALL)
_UNFINISHED = ("PENDING", "ENQUEUED", "DELAYED")
_GIVEN_UP = ["ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]


class StepFailedError(Exception):
    """A step failed; `retry` says when its workflow is tried again. A body may act on it and must let it pass."""

    def __init__(self, step: str, retry: Retry) -> None:
        super().__init__(f"{step}: {retry.reason}")
        self.step = step
        self.retry = retry


class Steps(Protocol):
    """What a workflow body uses to run its steps."""

    def run(self, name: str, work: Callable[[], T]) -> T:
        """Run `work` once and record its result, which must be JSON. Raises StepFailedError."""
        ...

    def then(self, workflow: Workflow, key: str) -> None:
        """Queue another workflow, once for each attempt of this one. Any process that works on its queue runs it."""
        ...


Body = Callable[[Steps, str], str | None]
RetryPolicy = Callable[[Exception, int], Retry]
"""From a step's exception and the number of failures so far to the decision about a retry."""


class ClosingError(BaseException):
    """The process stops before a step could start or its outcome be recorded; the workflow continues elsewhere."""


@dataclass(frozen=True, slots=True)
class _Registered:
    run: Callable[[str, int], str | None]
    queue: str
    decide: RetryPolicy


class DurableEngine:
    """Registers, launches and starts workflows. One a process, since the library is a singleton."""

    def __init__(self, database_url: str, name: str) -> None:
        """`database_url`: `sqlite:///path` or `postgresql+psycopg://…`, the engine's own database.

        `name` identifies this process; it must never be reused.
        """
        self.executor_id = name
        self._registered: dict[str, _Registered] = {}
        self._launched = False
        self._closing = threading.Event()
        self._closed = threading.Event()
        self._running_steps: list[str] = []
        self._running_here: set[str] = set()
        self._taken: dict[str, str] = {}
        self._idle_before: set[str] = set()
        self._signals = _Signals()
        config: DBOSConfig = {
            "name": APPLICATION,
            "system_database_url": database_url,
            "application_version": VERSION,
            "executor_id": name,
            "serializer": DBOSPortableJSONSerializer(),
            "log_level": "WARNING",
        }
        _prefer_wal(database_url)
        DBOS(config=config)
        logging.getLogger("dbos").propagate = True

    def register(self, workflow: Workflow, body: Body, *, queue: str, decide: RetryPolicy) -> None:
        """Register `body` before `launch`. `decide` says when a failed workflow is retried."""

        def run(key: str, attempt: int) -> str | None:
            workflow_id = _workflow_id(workflow, key, attempt)
            self._running_here.add(workflow_id)
            steps = _DbosSteps(self, attempt, decide)
            try:
                return body(steps, key)
            except StepFailedError as error:
                failed = error  # kept beyond this block for the closure
                steps.unless_closing("queue retry", lambda: self._queue_retry(workflow, key, attempt, failed))
                return str(failed)
            finally:
                self._running_here.discard(workflow_id)
                self._taken.pop(workflow_id, None)
                self._signals.notify(queue)  # room for another one

        run.__qualname__ = run.__name__ = str(workflow)
        self._registered[workflow] = _Registered(DBOS.workflow(name=str(workflow))(run), queue, decide)

    def launch(self, at_once: Mapping[str, int], *, idle_poll_s: float = POLL_S) -> None:
        """Open the database, migrate it and start working. Blocks for up to a second.

        `at_once` gives each queue's concurrency in this process; it does not work on other queues. Work that this process
        queues starts at once, that of other processes within `idle_poll_s`.
        """
        self._signals.watch(at_once, idle_poll_s)
        DBOS.listen_queues([])
        DBOS.launch()
        _control_queues(at_once, self._taken, self._signals.wait)
        for queue in sorted({known.queue for known in self._registered.values()}):
            DBOS.register_queue(queue, worker_concurrency=MOST_AT_ONCE, polling_interval_sec=_LOOK_S)
        self._launched = True

    def start(self, workflow: Workflow, key: str) -> None:
        """Queue a workflow, once for each `key`; if a delayed attempt exists, run that now."""
        if not self.run_now(workflow, key):
            self._enqueue(workflow, key, 0)

    def run_now(self, workflow: Workflow, key: str) -> int:
        """Run delayed attempts now; returns how many."""
        waiting = _delayed(workflow, key)
        for workflow_id in waiting:
            DBOS.set_workflow_delay(workflow_id, delay_seconds=0)
        self._signals.notify(self._registered[workflow].queue)
        return len(waiting)

    def cancel(self, workflow: Workflow, key: str) -> int:
        """Cancel delayed attempts; returns how many."""
        waiting = _delayed(workflow, key)
        if waiting:
            DBOS.cancel_workflows(waiting)
        return len(waiting)

    def delete_finished(self, before: datetime) -> int:
        """Delete the records of workflows that ended before that time; returns how many.

        A workflow that is started again for the same key after that runs again.
        """
        deleted = 0
        while found := DBOS.list_workflows(
            status=["SUCCESS", "CANCELLED"], completed_before=before.isoformat(), limit=MOST_DELETED,
            load_input=False, load_output=False,
        ):  # fmt: skip
            DBOS.delete_workflows([status.workflow_id for status in found])
            deleted += len(found)
        return deleted

    def unfinished(self, *prefixes: str) -> list[WorkItem]:
        """Unfinished workflows of all processes; with `prefixes`, only those whose keys start with one of them."""
        return _unfinished(DBOS.list_workflows, prefixes)

    def outputs(self, workflow: Workflow, prefix: str) -> dict[str, str | None]:
        """The results of workflows whose keys start with `prefix`, by key; None for unfinished ones."""
        found = DBOS.list_workflows(workflow_id_prefix=f"{workflow}:{prefix}", load_input=False)
        return {
            _parts(status.workflow_id)[1]: None
            if status.status in _UNFINISHED
            else str(status.output or "")
            if status.status == "SUCCESS"
            else f"it ended as {status.status}"
            for status in found
        }

    def recover(self, dead_among: Callable[[set[str]], set[str]]) -> int:
        """Queue abandoned workflows again; returns how many. `dead_among` selects the dead ones of the given processes.

        There are three kinds. Workflows of dead processes, by the executors that unfinished rows name and not by a list of
        known processes: a slow process that was declared dead may have taken one more job (reference/engine.md, section
        1.2). Workflows that this process took but does not run, because a start failed or an end was not recorded; only
        those that two checks in a row find idle, since taking one is not instantaneous. And workflows that the library
        gave up, for which the next attempt is queued.
        """
        pending = DBOS.list_workflows(status="PENDING", load_input=False)
        others = {w.executor_id for w in pending if w.executor_id} - {self.executor_id}
        dead = sorted(dead_among(others)) if others else []
        # Private: the public `resume_workflow` ignores the current executor. When two processes recover the same
        # workflow, the second one would take it from the first, which runs it already.
        recovered = len(DBOS._recover_pending_workflows(dead)) if dead else 0
        idle = {w.workflow_id for w in pending if w.executor_id == self.executor_id} - self._running_here
        lost = sorted(idle & self._idle_before)
        self._idle_before = idle.difference(lost)
        for workflow_id in lost:
            self._taken.pop(workflow_id, None)
            DBOS.resume_workflow(workflow_id, queue_name=self._registered[_parts(workflow_id)[0]].queue)
        recovered += len(lost) + self._restart_given_up()
        if recovered:
            self._signals.notify(*(known.queue for known in self._registered.values()))
        return recovered

    def _restart_given_up(self) -> int:
        given_up = DBOS.list_workflows(status=_GIVEN_UP, load_input=False)
        for found in given_up:
            workflow, key, attempt = _parts(found.workflow_id)
            decide = self._registered[workflow].decide
            failure = StepFailedError(
                "workflow", decide(RuntimeError(f"it ended as {found.status}"), attempt + 1)
            )
            self._queue_retry(workflow, key, attempt, failure)
            DBOS.delete_workflow(found.workflow_id)
            self._taken.pop(found.workflow_id, None)
        return len(given_up)

    def close(self) -> None:
        """Start nothing new, wait up to `SHUT_DOWN_S` for running steps, and stop. Blocks for about a second on SQLite.

        Unfinished workflows continue at the next launch or in another process; an interrupted step runs again.
        """
        self._closing.set()
        if not self._launched:
            return
        until_s = time.monotonic() + SHUT_DOWN_S
        while self._running_steps and time.monotonic() < until_s:
            time.sleep(0.02)
        cut = sorted(self._running_steps)
        self._closed.set()
        self._signals.close()
        DBOS.destroy(destroy_registry=True)
        self._launched = False
        if cut:
            log.warning("workflows stopped; to be done again at the next start: %s", ", ".join(cut))
        else:
            log.info("workflows stopped")

    def _enqueue(
        self,
        workflow: Workflow,
        key: str,
        attempt: int,
        delay_s: float | None = None,
        attributes: dict[str, Json] | None = None,
    ) -> None:
        known = self._registered[workflow]
        with (
            SetWorkflowID(_workflow_id(workflow, key, attempt)),
            SetEnqueueOptions(delay_seconds=delay_s),
            SetWorkflowAttributes(attributes),
        ):
            DBOS.enqueue_workflow(known.queue, known.run, key, attempt)
        if delay_s is None or delay_s < UNTIL_RETRIED_S:
            self._signals.notify(known.queue, after_s=delay_s or 0.0)

    def _queue_retry(self, workflow: Workflow, key: str, attempt: int, failed: StepFailedError) -> None:
        retry = failed.retry
        if retry.after_s is None and not retry.parked:
            return
        delay_s = UNTIL_RETRIED_S if retry.after_s is None else retry.after_s
        shown: dict[str, Json] = {
            "step": failed.step, "failure": retry.reason, "parked": retry.parked, "waits": retry.after_s is not None,
        }  # fmt: skip
        self._enqueue(workflow, key, attempt + 1, delay_s, shown)


class _Signals:
    """When the threads that take work from the queues look for it. Safe from any thread."""

    def __init__(self) -> None:
        self.idle_s = POLL_S
        self._changed = threading.Condition()
        self._expected_s: dict[str, list[float]] = {}
        self._unseen: set[str] = set()
        self._closed = False

    def watch(self, queues: Iterable[str], idle_s: float) -> None:
        """Take note of these queues, and look for the work of other processes every `idle_s`."""
        self.idle_s = idle_s
        self._expected_s = {queue: [] for queue in queues}

    def notify(self, *queues: str, after_s: float = 0.0) -> None:
        """Look for work in these queues at once, or in a while; and more often for `EXPECTED_S` from then on."""
        with self._changed:
            for queue in self._expected_s.keys() & set(queues):
                self._expected_s[queue].append(time.monotonic() + after_s)
            if not after_s:
                self._unseen.update(queues)
                self._changed.notify_all()

    def wait(self, queue: str) -> None:
        """Return when it is time to look for work in `queue`."""
        with self._changed:
            now_s = time.monotonic()
            expected_s = [at_s for at_s in self._expected_s[queue] if at_s + EXPECTED_S > now_s]
            self._expected_s[queue] = expected_s
            next_s = max(min(expected_s, default=math.inf) - now_s, POLL_S)
            self._changed.wait_for(lambda: queue in self._unseen or self._closed, min(next_s, self.idle_s))
            self._unseen.discard(queue)

    def close(self) -> None:
        """Release all waiting threads, now and later."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class _DbosSteps:
    """The steps of one workflow that runs in this process."""

    def __init__(self, engine: DurableEngine, attempt: int, decide: RetryPolicy) -> None:
        self._engine = engine
        self._attempt = attempt
        self._decide = decide

    def run(self, name: str, work: Callable[[], T]) -> T:
        def outcome() -> dict[str, Any]:
            # The decision is stored as the step's result, so that the workflow takes the same branch when it runs again:
            # of an exception the library keeps only the message.
            try:
                return {"result": work()}
            except Exception as error:
                retry = self._decide(error, self._attempt + 1)
                unexpected = not isinstance(error, CallreelError | OSError)
                log.warning(
                    "step %s failed, attempt %d: %s",
                    name,
                    self._attempt + 1,
                    retry.reason,
                    exc_info=unexpected,
                )
                return {"reason": retry.reason, "after_s": retry.after_s, "parked": retry.parked}

        kept = self.unless_closing(name, lambda: DBOS.run_step({"name": name}, outcome))
        if "reason" in kept:
            raise StepFailedError(name, Retry(kept["reason"], kept["after_s"], kept["parked"]))
        return cast(T, kept["result"])

    def then(self, workflow: Workflow, key: str) -> None:
        self.unless_closing(workflow, lambda: self._engine._enqueue(workflow, key, self._attempt))

    def unless_closing(self, name: str, work: Callable[[], T]) -> T:
        """Nothing begins once the process stops, and what outlasts the library has no outcome, since none can be kept."""
        engine = self._engine
        engine._running_steps.append(name)
        try:
            if engine._closing.is_set():
                raise ClosingError
            return work()
        except Exception:
            if engine._closed.is_set():
                raise ClosingError from None
            raise
        finally:
            engine._running_steps.remove(name)


def unfinished_in(database_url: str, *prefixes: str) -> list[WorkItem]:
    """As `DurableEngine.unfinished`, for a command that runs no workflows."""
    path = database_url.partition("sqlite:///")[2]
    if path and not Path(path).exists():
        return []
    client = DBOSClient(system_database_url=database_url, retry_connection_errors=False)
    try:
        return _unfinished(client.list_workflows, prefixes)
    except (ProgrammingError, OperationalError):
        return []  # no server has run here yet
    finally:
        client.destroy()


def _unfinished(
    list_workflows: Callable[..., list[WorkflowStatus]], prefixes: Sequence[str]
) -> list[WorkItem]:
    known_by = [f"{workflow}:{prefix}" for workflow in Workflow for prefix in prefixes] or None
    found = list_workflows(status=list(_UNFINISHED), workflow_id_prefix=known_by, load_input=False)
    return [_item(status) for status in found]


def _delayed(workflow: Workflow, key: str) -> list[str]:
    """The ids of the attempts that wait, for keys that start with `key`."""
    prefix = _workflow_id(workflow, key, 0)
    found = DBOS.list_workflows(status="DELAYED", workflow_id_prefix=prefix, load_input=False)
    return [status.workflow_id for status in found]


def _workflow_id(workflow: str, key: str, attempt: int) -> str:
    """What a workflow is known by: queued twice for the same key and attempt, it runs once."""
    return f"{workflow}:{key}" + (f"~{attempt}" if attempt else "")


def _parts(workflow_id: str) -> tuple[Workflow, str, int]:
    name, _, rest = workflow_id.partition(":")
    found = _KEY.fullmatch(rest)
    assert found is not None
    return Workflow(name), found["key"], int(found["attempt"] or 0)


def _item(found: WorkflowStatus) -> WorkItem:
    workflow, key, attempt = _parts(found.workflow_id)
    shown = found.attributes or {}
    waiting = WorkState.PARKED if shown.get("parked") else WorkState.RETRYING
    states = {"PENDING": WorkState.RUNNING, "DELAYED": waiting}
    due_ms = found.delay_until_epoch_ms if found.status == "DELAYED" and shown.get("waits") else None
    return WorkItem(
        workflow, key, states.get(found.status, WorkState.QUEUED), _moment(found.updated_at or found.created_at or 0),
        attempt, shown.get("step"), shown.get("failure"), None if due_ms is None else _moment(due_ms),
    )  # fmt: skip


def _moment(epoch_ms: int) -> datetime:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)


def _control_queues(at_once: Mapping[str, int], taken: dict[str, str], wait: Callable[[str], None]) -> None:
    """Bound how many workflows of a queue this process takes up, and decide when its threads look for them.

    Private: the library keeps the bound in the database, one for all processes, and machines differ; and it looks at fixed
    intervals, since nothing notifies it of queued work. Each thread reads its queue from the database before each look, so
    the answer is corrected here, and remembered, and `wait` returns when it is time to look.

    The library counts a workflow as running once its thread has begun, which can be later than the next look if the machine is busy:
    it would then take more than the bound. So what it took is added to `taken`, by workflow id with the queue's name, and
    counted until the engine removes it. The threads start only after that: otherwise a restarted process could at first
    take up the whole queue.
    """
    dbos = _get_dbos_instance()
    sys_db = dbos._sys_db
    ask, take, known = sys_db.get_queue, sys_db.start_queued_workflows, dict[str, Queue]()

    def get_queue(name: str) -> Queue | None:
        queue = known.get(name) or ask(name)
        if queue is not None and name in at_once:
            queue._worker_concurrency = at_once[name]
            known[name] = queue
            if threading.current_thread().name == f"queue-worker-{name}":
                wait(name)
        return queue

    def start_queued_workflows(
        queue: Queue, executor: str, version: str, partition: str | None, running: int, **options: Any
    ) -> tuple[list[str], Any]:
        counted = max(running, list(taken.values()).count(queue.name))
        started, limit = take(queue, executor, version, partition, counted, **options)
        taken.update(dict.fromkeys(started, queue.name))
        return started, limit

    vars(sys_db).update(get_queue=get_queue, start_queued_workflows=start_queued_workflows)
    dbos._listening_queues = list(at_once)


def _prefer_wal(url: str) -> None:
    """Set write-ahead logging on an SQLite file once; it sticks."""
    path = url.partition("sqlite:///")[2]
    if not path:
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would let everybody read it
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()
