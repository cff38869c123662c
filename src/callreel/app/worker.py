"""`callreel work` and `callreel transcribe --again`: stages after calls, without a page or a socket."""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from callreel.app.ground import open_ground
from callreel.app.stages import running_stages
from callreel.domain.ids import CallId
from callreel.services import again
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
    tell: Callable[[again.Run, again.Progress], None],
) -> tuple[again.Run, again.Progress]:
    """Hear the chosen calls again by engine `spec` and answer how it went, telling it every second meanwhile.

    A run of that engine that was cut off goes on first; calls that it has are not begun twice. Other processes of the
    installation help, and go on when this one ends.
    """
    return asyncio.run(_transcribe_again(settings, spec, choose, tell))


async def _transcribe_again(
    settings: Settings,
    spec: str,
    choose: Callable[[Connection], Sequence[CallId]],
    tell: Callable[[again.Run, again.Progress], None],
) -> tuple[again.Run, again.Progress]:
    apart = settings.model_copy(update={"work_queues": {}})  # the run brings an engine of its own
    async with open_ground(apart, server=False) as ground, running_stages(ground, again_only=True):
        run = await asyncio.to_thread(again.unfinished_run, ground.durable, spec)
        run = run or again.Run.at(ground.clock.now(), spec)
        with ground.database.read() as conn:
            chosen = choose(conn)
        await asyncio.to_thread(again.begin, ground.durable, run, chosen)
        while True:
            progress = await asyncio.to_thread(again.progress, ground.durable, run)
            tell(run, progress)
            if not progress.waiting:
                return run, progress
            await asyncio.sleep(AGAIN_LOOK_S)


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with open_ground(settings, server=False) as ground, running_stages(ground):
        log.info("working on %s", ", ".join(settings.work_queues))
        await stop.wait()
