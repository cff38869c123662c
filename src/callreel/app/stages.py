"""The stages after calls in this process: the durable workflows, and taking up what dead processes left."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager

import numpy as np
import numpy.typing as npt

from callreel.app.engines import begun_again
from callreel.app.ground import Ground, T, tasks
from callreel.audio.segmenter import SegmenterOptions
from callreel.domain.errors import EngineError
from callreel.domain.verdict import Limits
from callreel.engines.pool import EnginePool
from callreel.engines.silero import SileroDetector
from callreel.engines.survey import Purpose, survey
from callreel.services import again
from callreel.services.fetching import Fetching, FetchOptions
from callreel.services.judging import Judging
from callreel.services.stages import TRANSCRIBE_QUEUE, WHOLE_QUEUE, Stages
from callreel.services.transcribing import Decode, Transcribing
from callreel.settings import Settings
from callreel.settings.engines import engine_for, language_in
from callreel.speech.engine import Capabilities, HeardWord

log = logging.getLogger(__name__)

ADOPT_EVERY_S = 10.0
Samples = npt.NDArray[np.int16]


def _queues(settings: Settings, again_only: bool) -> dict[str, int]:
    """How much of each queue this process works on at once."""
    if again_only:
        return {again.QUEUE: 1}
    at_once = dict(settings.work_queues)
    if TRANSCRIBE_QUEUE in at_once:
        at_once[WHOLE_QUEUE] = at_once[TRANSCRIBE_QUEUE]
        at_once[again.QUEUE] = 1
    return at_once


@asynccontextmanager
async def running_stages(ground: Ground, *, again_only: bool = False) -> AsyncIterator[None]:
    """The durable workflows, and taking up what dead processes of this machine left.

    `again_only` takes up nothing but calls that are to be transcribed again.
    """
    loop = asyncio.get_running_loop()
    settings = ground.settings
    pool = EnginePool(lambda spec: begun_again(settings, spec, ground.hints))

    def wait(work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    def transcribing_with(able: Capabilities, why: str, decode: Decode, language: str = "") -> Transcribing:
        return Transcribing(
            ground.database, ground.blobs, ground.announcer, decode=decode, engine=able, why=why, language=language,
            new_detector=SileroDetector, segmenter=SegmenterOptions(min_silence_ms=800),
        )  # fmt: skip

    def transcribing_again(spec: str) -> Transcribing:
        engine = wait(pool.engine(spec))

        def decode(segments: Sequence[Samples], language: str) -> Sequence[Sequence[HeardWord]]:
            return wait(pool.decode_many(spec, segments, language=language))

        return transcribing_with(engine.able, engine.why, decode, language_in(spec))

    def decode(segments: Sequence[Samples], language: str) -> Sequence[Sequence[HeardWord]]:
        if ground.final is None:
            raise EngineError("this process transcribes nothing after calls")
        return wait(ground.final.host.decode_many(segments, language=language))

    fetching = Fetching(
        ground.database, ground.blobs, ground.announcer, ground.carrier, ground.clock,
        FetchOptions(settings.fetch_attempts),
    )  # fmt: skip
    if ground.final is not None:
        transcribing = transcribing_with(ground.final.able, ground.final.why, decode)
    else:
        selected = await asyncio.to_thread(engine_for, settings, Purpose.FINAL)
        transcribing = transcribing_with(survey(selected.choice).capabilities, selected.why, decode)
    both = settings.stream_track == "both_tracks" and settings.recording_track == "both"
    judging = Judging(
        ground.database, ground.blobs, ground.announcer, ground.clock,
        Limits(late_stream_ms=settings.late_stream_ms), tracks=2 if both else 1, record=settings.record,
    )  # fmt: skip
    Stages(ground.database, ground.announcer, fetching, transcribing, judging, ground.stage_times).register(
        ground.durable
    )
    again.Again(transcribing_again).register(ground.durable)
    await asyncio.to_thread(ground.durable.launch, _queues(settings, again_only))
    try:
        moving = (ground.moving.run(),) if ground.moving else ()
        async with tasks(_adopt(ground), ground.heartbeat.run(), pool.run(), *moving):
            yield
    finally:
        await asyncio.to_thread(ground.durable.close)
        await pool.close()


async def _adopt(ground: Ground) -> None:
    while True:
        try:
            taken = await asyncio.to_thread(ground.durable.adopt, ground.peers.dead)
            if taken:
                log.warning("took up %d unfinished pieces of work of a dead process", taken)
            again = await asyncio.to_thread(ground.durable.revive)
            if again:
                log.warning("queued %d pieces of work again that this process had taken up and lost", again)
        except Exception:
            log.exception("looking for unfinished work failed; trying again")
        await asyncio.sleep(ADOPT_EVERY_S)
