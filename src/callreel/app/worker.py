"""`callreel work` and `callreel transcribe --again`: stages after calls, without a page or a socket."""

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

AGAIN_LOOK_S = 1.0


def work(settings: Settings) -> None:
    """Run the stages after calls beside a server, until SIGINT or SIGTERM."""
    asyncio.run(_work(settings))


def transcribe_again(
    settings: Settings,
    spec: str,
    choose: Callable[[Connection], Sequence[CallId]],
    tell: Callable[[retranscription.Run, retranscription.Progress], None],
) -> tuple[retranscription.Run, retranscription.Progress]:
    """Hear the chosen calls again by engine `spec` and answer how it went, telling it every second meanwhile.

    A run of that engine that was cut off goes on first; calls that it has are not begun twice. Other processes of the
    installation help, and go on when this one ends.
    """
    return asyncio.run(_transcribe_again(settings, spec, choose, tell))


async def _transcribe_again(
    settings: Settings,
    spec: str,
    choose: Callable[[Connection], Sequence[CallId]],
    tell: Callable[[retranscription.Run, retranscription.Progress], None],
) -> tuple[retranscription.Run, retranscription.Progress]:
    apart = settings.model_copy(update={"work_queues": {}})  # the run brings an engine of its own
    async with open_runtime(apart, server=False) as runtime, running_workflows(runtime, again_only=True):
        run = await asyncio.to_thread(retranscription.unfinished_run, runtime.durable, spec)
        run = run or retranscription.Run.at(runtime.clock.now(), spec)
        with runtime.database.read() as conn:
            chosen = choose(conn)
        await asyncio.to_thread(retranscription.begin, runtime.durable, run, chosen)
        while True:
            progress = await asyncio.to_thread(retranscription.progress, runtime.durable, run)
            tell(run, progress)
            if not progress.waiting:
                return run, progress
            await asyncio.sleep(AGAIN_LOOK_S)


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with open_runtime(settings, server=False) as runtime, running_workflows(runtime):
        log.info("working on %s", ", ".join(settings.work_queues))
        await stop.wait()
