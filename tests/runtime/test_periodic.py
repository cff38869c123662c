"""Jobs that run at intervals: when they run, how they end, and how their errors are logged."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from callreel.domain.errors import StoreError
from callreel.runtime.periodic import PeriodicJob
from tests.support.installation import eventually

NEVER_S = 3600.0


class Job:
    """Counts its runs, and raises the next of `errors` in each run while there are any."""

    def __init__(self, *errors: Exception) -> None:
        self.runs = 0
        self._errors = list(errors)

    def __call__(self) -> None:
        self.runs += 1
        if self._errors:
            raise self._errors.pop(0)


@asynccontextmanager
async def running(periodic: PeriodicJob) -> AsyncIterator[None]:
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(periodic.run())
        yield
        task.cancel()


async def test_job_runs_again_after_each_interval() -> None:
    job = Job()
    async with running(PeriodicJob(name="count", job=job, interval_s=0.001, jitter=0.5)):
        await eventually(lambda: job.runs >= 3)


async def test_blocking_job_runs_in_another_thread() -> None:
    threads: list[threading.Thread] = []
    periodic = PeriodicJob(
        name="thread", job=lambda: threads.append(threading.current_thread()), interval_s=0.001
    )
    async with running(periodic):
        await eventually(lambda: bool(threads))
    assert threads[0] is not threading.current_thread()


async def test_coroutine_job_runs_in_the_loop() -> None:
    threads: list[threading.Thread] = []

    async def job() -> None:
        threads.append(threading.current_thread())

    async with running(PeriodicJob(name="loop", job=job, interval_s=0.001)):
        await eventually(lambda: bool(threads))
    assert threads[0] is threading.current_thread()


async def test_first_run_waits_unless_immediate() -> None:
    waiting, immediate = Job(), Job()
    async with (
        running(PeriodicJob(name="waits", job=waiting, interval_s=NEVER_S)),
        running(PeriodicJob(name="immediate", job=immediate, interval_s=NEVER_S, immediately=True)),
    ):
        await eventually(lambda: immediate.runs == 1)
    assert waiting.runs == 0


async def test_wake_starts_a_run_before_the_interval_ends() -> None:
    job = Job()
    periodic = PeriodicJob(name="woken", job=job, interval_s=NEVER_S, immediately=True)
    async with running(periodic):
        await eventually(lambda: job.runs == 1)
        await asyncio.to_thread(periodic.wake)
        await eventually(lambda: job.runs == 2)


async def test_wake_during_a_run_starts_another_run() -> None:
    job = Job()

    def wake_again() -> None:
        job()
        periodic.wake()

    periodic = PeriodicJob(name="woken", job=wake_again, interval_s=NEVER_S)
    async with running(periodic):
        await asyncio.sleep(0)
        periodic.wake()
        await eventually(lambda: job.runs >= 3)


async def test_disabled_job_does_not_run() -> None:
    job, looked = Job(), Job()

    def enabled() -> bool:
        looked()
        return looked.runs > 3

    async with running(PeriodicJob(name="leader only", job=job, interval_s=0.001, enabled=enabled)):
        await eventually(lambda: job.runs > 0)
    assert looked.runs >= 4


async def test_stop_lets_the_running_job_finish() -> None:
    entered, release, finished = threading.Event(), threading.Event(), Job()

    def job() -> None:
        entered.set()
        release.wait(10)
        finished()

    periodic = PeriodicJob(name="stopped", job=job, interval_s=NEVER_S, immediately=True)
    async with asyncio.timeout(10):
        task = asyncio.create_task(periodic.run())
        await eventually(entered.is_set)
        periodic.stop()
        release.set()
        await task
    assert finished.runs == 1


async def test_interval_may_change_from_run_to_run() -> None:
    job = Job()
    intervals = iter([0.001, 0.001, NEVER_S])
    async with running(PeriodicJob(name="backs off", job=job, interval_s=lambda: next(intervals))):
        await eventually(lambda: job.runs == 2)
    assert job.runs == 2


async def test_repeated_error_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="callreel.runtime.periodic")
    job = Job(OSError("disk full"), OSError("disk full"), OSError("disk full"))
    periodic = PeriodicJob(name="sync", job=job, interval_s=0.001)
    async with running(periodic):
        await eventually(lambda: job.runs >= 5)
    assert periodic.failures == 3
    assert [(r.getMessage(), r.levelname) for r in caplog.records] == [
        ("periodic job failed", "ERROR"), ("periodic job recovered", "INFO"),
    ]  # fmt: skip
    assert {vars(record)["job"] for record in caplog.records} == {"sync"}


async def test_expected_error_is_one_warning_without_traceback(caplog: pytest.LogCaptureFixture) -> None:
    job = Job(StoreError("the database does not answer"), StoreError("the database is read-only"))
    async with running(PeriodicJob(name="sweep", job=job, interval_s=0.001)):
        await eventually(lambda: job.runs >= 3)
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [record.getMessage() for record in warnings] == [
        "periodic job failed: the database does not answer",
        "periodic job failed: the database is read-only",
    ]
    assert not any(record.exc_info for record in warnings)
