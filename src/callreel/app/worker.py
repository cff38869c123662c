"""`callreel work` and `callreel transcribe --again`: the stages after a call, without pages and sockets."""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from callreel.app.runtime import open_runtime
from callreel.app.workflows import running_workflows
from callreel.domain.ids import CallId
from callreel.postcall import retranscription
from callreel.settings import Settings

log = logging.getLogger(__name__)

PROGRESS_INTERVAL_S = 1.0


def work(settings: Settings) -> None:
    """Run the stages after calls beside a server, until SIGINT or SIGTERM."""
    asyncio.run(_work(settings))


def transcribe_again(
    settings: Settings,
    spec: str,
    select: Callable[[Connection], Sequence[CallId]],
    report: Callable[[retranscription.Run, retranscription.Progress], None],
) -> tuple[retranscription.Run, retranscription.Progress]:
    """Transcribe the selected calls again with engine `spec`; `report` receives the progress every second.

    An interrupted run of that engine continues, without repeating its finished calls. Other processes of the
    installation take part, and continue when this one ends.
    """
    return asyncio.run(_transcribe_again(settings, spec, select, report))


async def _transcribe_again(
    settings: Settings,
    spec: str,
    select: Callable[[Connection], Sequence[CallId]],
    report: Callable[[retranscription.Run, retranscription.Progress], None],
) -> tuple[retranscription.Run, retranscription.Progress]:
    # The run starts its own engine, so this process needs none of the ordinary queues.
    without_queues = settings.model_copy(update={"work_queues": {}})
    async with (
        open_runtime(without_queues, server=False) as runtime,
        running_workflows(runtime, retranscription_only=True),
    ):
        run = await asyncio.to_thread(retranscription.unfinished_run, runtime.durable, spec)
        run = run or retranscription.Run.at(runtime.clock.now(), spec)
        with runtime.database.read() as conn:
            selected = select(conn)
            await asyncio.to_thread(retranscription.begin, runtime.durable, run, selected)
        while True:
            progress = await asyncio.to_thread(retranscription.progress, runtime.durable, run)
            report(run, progress)
            if not progress.waiting:
                return run, progress
            await asyncio.sleep(PROGRESS_INTERVAL_S)


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with open_runtime(settings, server=False) as runtime, running_workflows(runtime):
        log.info("working on %s", ", ".join(settings.work_queues))
        await stop.wait()
