"""Durable workflows: the one module that knows the library (DBOS Transact).

A workflow is a plain function `body(steps, key)`. Each `steps.run(name, work)` is done at most once to its end and its
result, a small JSON value, is remembered; after a crash the body runs again and finished steps answer from memory. So
a body has no effects outside its steps, and a step may run twice when it was cut off in the middle: every step is
idempotent.

Traps of the library that are dealt with here (reference/engine.md, section 1): it does not set WAL itself, its
default serializer is pickle, executor ids must be unique a process, the application version must be fixed, and work
of a dead process is only taken up when somebody asks for it.
"""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from dbos import DBOS, DBOSConfig, Queue, SetWorkflowID
from dbos._dbos import _get_dbos_instance
from dbos._serialization import DBOSPortableJSONSerializer

from callreel.store.db.write_retry import SHUT_DOWN_S, ClosingError, patiently

log = logging.getLogger(__name__)

T = TypeVar("T")

APPLICATION = "callreel"
VERSION = "callreel-stages-1"
"""Fixed: an automatic version would strand unfinished work at each upgrade. Change it only with a drain."""

POLL_S = 0.3
"""How often a process looks for work in each queue while there is some: about 0.1 s of delay."""

IDLE_POLL_S = 1.0
BUSY_S = 30.0
"""So long after work was started here, or was to be expected, it looks that often; then each `IDLE_POLL_S`, which costs a
third of it: up to a second more until the first stage of a call begins elsewhere than here."""

MOST_AT_ONCE = 1_000
"""Of one queue in one process, where no other bound is set."""

_UNFINISHED = ("PENDING", "ENQUEUED", "DELAYED")


class Steps(Protocol):
    """What a workflow body is given."""

    def run(self, name: str, work: Callable[[], T]) -> T:
        """Do `work` once; its result must be JSON. What passes is tried again within a minute; then its error is raised,
        also when the body runs again."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait, durably: after a restart only the rest is waited."""
        ...

    def then(self, name: str, key: str) -> None:
        """Queue workflow `name` for `key`, once. Any process that works on its queue takes it up."""
        ...


Body = Callable[[Steps, str], str | None]


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A workflow that has not come to its end."""

    workflow_id: str
    executor: str
    status: str


@dataclass(frozen=True, slots=True)
class Known:
    """A workflow, wherever it is. `output` is what its body answered, None before it is over."""

    key: str
    over: bool
    output: str | None


@dataclass(slots=True)
class _End:
    """How far the end of this process has come. First no step begins any more, then the library is gone."""

    closing: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)
    running: list[str] = field(default_factory=list)
    """Names of the steps that run now."""


class _DbosSteps:
    def __init__(self, end: _End, start: Callable[[str, str], None]) -> None:
        self._end = end
        self._start = start

    def run(self, name: str, work: Callable[[], T]) -> T:
        return self._while_there(
            name, lambda: DBOS.run_step({"name": name}, lambda: patiently(name, work, self._end.closing))
        )

    def sleep(self, seconds: float) -> None:
        if self._end.closing.is_set():
            raise ClosingError
        try:
            DBOS.sleep(seconds)
        except Exception:
            if self._end.gone.is_set():
                raise ClosingError from None
            raise

    def then(self, name: str, key: str) -> None:
        self._while_there(name, lambda: self._start(name, key))

    def _while_there(self, name: str, work: Callable[[], T]) -> T:
        """Nothing begins once the process closes; what outlasts the library has no outcome, since nobody can keep it."""
        self._end.running.append(name)
        try:
            if self._end.closing.is_set():
                raise ClosingError
            return work()
        except Exception:
            if self._end.gone.is_set():
                raise ClosingError from None
            raise
        finally:
            self._end.running.remove(name)


class Durable:
    """Registers, launches and starts workflows. One a process, since the library is a singleton."""

    def __init__(self, database_url: str, name: str) -> None:
        """`database_url`: `sqlite:///path` or `postgresql+psycopg://…`, the stages' own database.

        `name` is that of this process, which no other has or had.
        """
        self._url = database_url
        self._bodies: dict[str, Callable[[str], str | None]] = {}
        self._queues: dict[str, str] = {}
        self.executor_id = name
        self._launched = False
        self._end = _End()
        self._here: set[str] = set()
        self._idle: set[str] = set()
        self._busy_until_s = 0.0
        config: DBOSConfig = {
            "name": APPLICATION,
            "system_database_url": database_url,
            "application_version": VERSION,
            "executor_id": self.executor_id,
            "serializer": DBOSPortableJSONSerializer(),
            "log_level": "WARNING",
            "notification_listener_polling_interval_sec": 1.0,
        }
        _prefer_wal(database_url)
        DBOS(config=config)
        logging.getLogger("dbos").propagate = True

    def register(self, name: str, body: Body, *, queue: str) -> None:
        """Make `body` known as workflow `name`, which waits its turn in `queue`. Before `launch`."""
        steps = _DbosSteps(self._end, self.start)

        def workflow(key: str) -> str | None:
            known_by = workflow_id(name, key)
            self._here.add(known_by)
            try:
                return body(steps, key)
            finally:
                self._here.discard(known_by)

        workflow.__qualname__ = workflow.__name__ = name
        self._bodies[name] = DBOS.workflow(name=name)(workflow)
        self._queues[name] = queue

    def launch(self, at_once: Mapping[str, int]) -> None:
        """Open the database, migrate it and begin to work. Blocking, up to a second.

        `at_once`: how many workflows of a queue run at once in this process; queues that it does not name are left to
        others.
        """
        DBOS.listen_queues(list(at_once))
        DBOS.launch()
        self._look_at_queues(at_once)
        for queue in sorted({*self._queues.values()}):
            DBOS.register_queue(queue, worker_concurrency=MOST_AT_ONCE, polling_interval_sec=POLL_S)
        self._launched = True

    def expect_work(self) -> None:
        """Work is about to come: look for it often. Any thread; never blocks."""
        self._busy_until_s = time.monotonic() + BUSY_S

    def _look_at_queues(self, at_once: Mapping[str, int]) -> None:
        """How many of a queue this process takes up, and how often it looks.

        The library keeps both in the database, for all processes; machines differ, and so do their days. It asks for the
        queue at every look, so the answer is put right here, from memory once the queues are registered.
        """
        sys_db = _get_dbos_instance()._sys_db
        ask, known = sys_db.get_queue, dict[str, Queue]()

        def get_queue(name: str) -> Queue | None:
            queue = known.get(name) or ask(name)
            if queue is not None and name in at_once:
                queue._worker_concurrency = at_once[name]
                idle = not self._here and time.monotonic() > self._busy_until_s
                queue._polling_interval_sec = IDLE_POLL_S if idle else POLL_S
                if self._launched:
                    known[name] = queue
            return queue

        vars(sys_db)["get_queue"] = get_queue

    def start(self, name: str, key: str) -> None:
        """Queue workflow `name` for `key`, or do nothing where that was done before: the id is `name:key`.

        Any process of the installation may take it up.
        """
        self.expect_work()
        with SetWorkflowID(workflow_id(name, key)):
            DBOS.enqueue_workflow(self._queues[name], self._bodies[name], key)

    def unfinished(self) -> list[Unfinished]:
        """Workflows that are not at their end, whoever runs them."""
        found = DBOS.list_workflows(status=list(_UNFINISHED), load_input=False, load_output=False)
        return [Unfinished(w.workflow_id, w.executor_id or "", w.status) for w in found]

    def of_prefix(self, name: str, prefix: str) -> list[Known]:
        """All workflows `name` whose keys begin with `prefix`, the finished ones too."""
        found = DBOS.list_workflows(workflow_id_prefix=workflow_id(name, prefix), load_input=False)
        return [
            Known(
                w.workflow_id.partition(":")[2],
                w.status not in _UNFINISHED,
                w.output if w.status == "SUCCESS" else f"it ended as {w.status}",
            )
            for w in found
        ]

    def adopt(self, dead_among: Callable[[set[str]], set[str]]) -> int:
        """Take up the work of dead processes; answers how many workflows. `dead_among` says who of those asked is.

        Judged by the executors that unfinished rows name, never by a list of known processes: a slow process that
        was declared dead may have taken one more job (reference/engine.md, section 1.2).
        """
        running = {w.executor for w in self.unfinished() if w.status == "PENDING"}
        others = running - {self.executor_id, ""}
        dead = sorted(dead_among(others)) if others else []
        return len(DBOS._recover_pending_workflows(dead)) if dead else 0

    def revive(self) -> int:
        """Queue again what this process took up and does not run; answers how many workflows.

        A start that failed, or an end that could not be kept, leaves such work: the library takes it for running as
        long as this process lives. Only what two looks in a row find idle, since taking up is not one instant.
        """
        mine = [w for w in self.unfinished() if w.status == "PENDING" and w.executor == self.executor_id]
        idle = {w.workflow_id for w in mine} - self._here
        again = sorted(idle & self._idle)
        self._idle = idle.difference(again)
        for known_by in again:
            DBOS.resume_workflow(known_by, queue_name=self._queues[known_by.partition(":")[0]])
        return len(again)

    def close(self) -> None:
        """Take up nothing more, wait for steps that run, `SHUT_DOWN_S` at most, and stop. Unfinished work goes on at the
        next launch, or in another process; a step that was cut off is done again. Blocking, about a second on SQLite.
        """
        self._end.closing.set()
        if not self._launched:
            return
        for event in _get_dbos_instance().background_thread_stop_events:
            event.set()
        until_s = time.monotonic() + SHUT_DOWN_S
        while self._end.running and time.monotonic() < until_s:
            time.sleep(0.02)
        if cut := sorted(self._end.running):
            log.warning("the stages stop; to be done again at the next start: %s", ", ".join(cut))
        else:
            log.info("the stages have stopped")
        self._end.gone.set()
        DBOS.destroy(destroy_registry=True)
        self._launched = False


def workflow_id(name: str, key: str) -> str:
    """What a workflow is known by: started twice for the same key, it runs once."""
    return f"{name}:{key}"


def _prefer_wal(url: str) -> None:
    """Set write-ahead logging on an SQLite file once; it sticks. The library leaves the slow rollback journal."""
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
