import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from callreel.cluster.failure_detector import new_name
from callreel.domain.call import CallState
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.recording import CloudState
from callreel.domain.transcript import TranscriptKind
from callreel.domain.work import Workflow, subject_of
from callreel.postcall.durable import DurableEngine, Steps
from callreel.postcall.workflows import LIVE_WAIT, LOST_AFTER, Dispatcher
from callreel.store.calls import calls, outbox, recordings
from callreel.store.transcripts import transcripts
from tests.support.fake_engine import FakeEngine, retry_policy
from tests.support.installation import Installation, a_call, eventually_blocking, leg

CALL = CallId("000000000001")


@dataclass
class Stage:
    """The real durable engine with bodies that only say that they ran."""

    durable: DurableEngine
    ran: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def body(self, name: Workflow) -> None:
        def run(steps: Steps, key: str) -> None:
            steps.run("once", lambda: self._note(name, key))

        self.durable.register(name, run, queue="all", decide=retry_policy())

    def _note(self, name: str, key: str) -> None:
        with self.lock:
            self.ran.append((name, key))

    def of(self, sid: RecordingSid) -> list[str]:
        with self.lock:
            return [name for name, key in self.ran if subject_of(key) == sid]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("durable")
    made = Stage(DurableEngine(f"sqlite:///{folder / 'stages.db'}", new_name()))
    for name in (Workflow.DOWNLOAD, Workflow.NO_RECORDING):
        made.body(name)
    made.durable.launch({"all": 4})
    yield made
    made.durable.close()


def an_ended_call(installation: Installation) -> None:
    """With its live transcript kept."""
    a_call(installation)
    end(installation)


def end(installation: Installation, *, live_done: bool = True) -> None:
    with installation.database.write() as conn:
        calls.set_state(conn, CALL, CallState.ENDED, installation.clock.now())
        if live_done:
            transcripts.put(conn, CALL, TranscriptKind.LIVE, "live", "", [])


_numbers = iter(range(1, 1000))


def a_recording(installation: Installation, state: CloudState) -> RecordingSid:
    sid = RecordingSid(f"RE{next(_numbers):032x}")
    listen(installation, sid, state)
    return sid


def listen(installation: Installation, sid: RecordingSid, state: CloudState) -> None:
    with installation.database.write() as conn:
        recordings.upsert(conn, recordings.RecordingRow(sid, CALL, leg(1), state, installation.clock.now()))


def ordered(installation: Installation, sid: RecordingSid) -> bool:
    with installation.database.read() as conn:
        return any(order.subject == sid for order in outbox.all_orders(conn))


@pytest.mark.parametrize(
    ("state", "workflow"),
    [
        (CloudState.COMPLETED, Workflow.DOWNLOAD),
        (CloudState.ABSENT, Workflow.NO_RECORDING),
        (CloudState.FAILED, Workflow.NO_RECORDING),
        (CloudState.MISSING, Workflow.NO_RECORDING),
    ],
)
def test_row_becomes_one_workflow(
    installation: Installation, stage: Stage, state: CloudState, workflow: str
) -> None:
    an_ended_call(installation)
    sid = a_recording(installation, state)
    dispatcher = Dispatcher(installation.database, stage.durable, installation.clock)
    assert [dispatcher.sweep() for _ in range(3)] == [1, 0, 0]
    eventually_blocking(lambda: stage.of(sid))
    assert stage.of(sid) == [workflow] and not ordered(installation, sid)


@pytest.mark.parametrize("state", [CloudState.EXPECTED, CloudState.IN_PROGRESS])
def test_recording_that_is_under_way_starts_nothing(
    installation: Installation, stage: Stage, state: CloudState
) -> None:
    an_ended_call(installation)
    sid = a_recording(installation, state)
    assert Dispatcher(installation.database, stage.durable, installation.clock).sweep() == 0
    assert not ordered(installation, sid)


def test_live_call_is_not_judged_whatever_became_of_its_recording(
    installation: Installation, stage: Stage
) -> None:
    """A recording may fail in the first minute of a long call."""
    a_call(installation)
    sid = a_recording(installation, CloudState.FAILED)
    dispatcher = Dispatcher(installation.database, stage.durable, installation.clock)
    assert dispatcher.sweep() == 0 and ordered(installation, sid)
    end(installation)
    assert dispatcher.sweep() == 1 and not ordered(installation, sid)


def test_work_waits_for_the_live_transcript_for_a_quarter_of_an_hour(
    installation: Installation, stage: Stage
) -> None:
    a_call(installation)
    end(installation, live_done=False)
    a_recording(installation, CloudState.COMPLETED)
    dispatcher = Dispatcher(installation.database, stage.durable, installation.clock)
    installation.clock.step(LIVE_WAIT.total_seconds() - 1)
    assert dispatcher.sweep() == 0
    installation.clock.step(1)
    assert dispatcher.sweep() == 1


def test_work_that_was_lost_is_ordered_again(installation: Installation, stage: Stage) -> None:
    """As by an engine's database that was restored from an older copy."""
    an_ended_call(installation)
    sid = a_recording(installation, CloudState.COMPLETED)
    dispatcher = Dispatcher(installation.database, stage.durable, installation.clock)
    assert dispatcher.sweep() == 1
    eventually_blocking(lambda: stage.of(sid) and not stage.durable.unfinished())
    assert dispatcher.reorder_lost() == 0, "its time has not come"
    installation.clock.step(LOST_AFTER.total_seconds() + 1)
    assert dispatcher.reorder_lost() == 1 and dispatcher.reorder_lost() == 0
    assert dispatcher.sweep() == 1
    eventually_blocking(lambda: stage.of(sid) == [Workflow.DOWNLOAD, Workflow.DOWNLOAD])


def test_work_that_waits_or_led_to_a_verdict_is_not_lost(installation: Installation, stage: Stage) -> None:
    an_ended_call(installation)
    sid = a_recording(installation, CloudState.COMPLETED)
    waiting = FakeEngine()
    dispatcher = Dispatcher(installation.database, waiting, installation.clock)
    assert dispatcher.sweep() == 1
    installation.clock.step(LOST_AFTER.total_seconds() + 1)
    assert dispatcher.reorder_lost() == 0 and not ordered(installation, sid)
    waiting.queue.clear()
    with installation.database.write() as conn:
        calls.set_state(conn, CALL, CallState.CLOSED, installation.clock.now())
    assert dispatcher.reorder_lost() == 0


def test_crash_between_starting_and_noting_it_starts_once(installation: Installation, stage: Stage) -> None:
    an_ended_call(installation)
    sid = a_recording(installation, CloudState.COMPLETED)
    with installation.database.read() as conn:
        [order] = outbox.all_orders(conn)
    stage.durable.start(order.workflow, order.key)
    eventually_blocking(lambda: stage.of(sid))
    assert Dispatcher(installation.database, stage.durable, installation.clock).sweep() == 1
    eventually_blocking(lambda: not stage.durable.unfinished())
    assert stage.of(sid) == [Workflow.DOWNLOAD]


def test_absent_that_completes_after_all_is_worked_on_again(installation: Installation, stage: Stage) -> None:
    an_ended_call(installation)
    sid = a_recording(installation, CloudState.ABSENT)
    dispatcher = Dispatcher(installation.database, stage.durable, installation.clock)
    dispatcher.sweep()
    eventually_blocking(lambda: stage.of(sid))
    listen(installation, sid, CloudState.COMPLETED)
    assert dispatcher.sweep() == 1
    eventually_blocking(lambda: len(stage.of(sid)) == 2)
    assert stage.of(sid) == [Workflow.NO_RECORDING, Workflow.DOWNLOAD]


def test_callback_that_comes_while_the_workflow_is_started_is_not_lost(
    installation: Installation, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`absent` is being started when `completed` arrives."""
    an_ended_call(installation)
    sid = a_recording(installation, CloudState.ABSENT)
    start = stage.durable.start

    def start_slowly(name: Workflow, key: str) -> None:
        start(name, key)
        if name == Workflow.NO_RECORDING:
            listen(installation, sid, CloudState.COMPLETED)

    monkeypatch.setattr(stage.durable, "start", start_slowly)
    dispatcher = Dispatcher(installation.database, stage.durable, installation.clock)
    dispatcher.sweep()
    dispatcher.sweep()
    eventually_blocking(lambda: len(stage.of(sid)) == 2)
    assert sorted(stage.of(sid)) == sorted([Workflow.NO_RECORDING, Workflow.DOWNLOAD])
