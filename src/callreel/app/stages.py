"""The stages after calls in this process: the durable workflows, and taking up what dead processes left."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager

from callreel.app.engines import begun_again
from callreel.app.runtime import Runtime, T, tasks
from callreel.asr.engine import Capabilities, RecognizedWord
from callreel.asr.engines.survey import Purpose, survey
from callreel.asr.silero import SileroDetector
from callreel.asr.workers.pool import EnginePool
from callreel.audio.samples import Samples
from callreel.audio.segmenter import SegmenterOptions
from callreel.domain.errors import EngineError
from callreel.domain.verdict import Limits
from callreel.postcall import retranscription
from callreel.postcall.comparison import LayerComparison
from callreel.postcall.download import FetchOptions, RecordingDownloader
from callreel.postcall.transcription import Decode, FinalTranscriber
from callreel.postcall.workflows import TRANSCRIBE_QUEUE, WHOLE_QUEUE, Stages
from callreel.runtime.periodic import PeriodicJob
from callreel.settings import Settings
from callreel.settings.engines import engine_for, language_in

log = logging.getLogger(__name__)

ADOPT_EVERY_S = 10.0


def _queues(settings: Settings, again_only: bool) -> dict[str, int]:
    """How much of each queue this process works on at once."""
    if again_only:
        return {retranscription.QUEUE: 1}
    at_once = dict(settings.work_queues)
    if TRANSCRIBE_QUEUE in at_once:
        at_once[WHOLE_QUEUE] = at_once[TRANSCRIBE_QUEUE]
        at_once[retranscription.QUEUE] = 1
    return at_once


@asynccontextmanager
async def running_stages(runtime: Runtime, *, again_only: bool = False) -> AsyncIterator[None]:
    """The durable workflows, and taking up what dead processes of this machine left.

    `again_only` takes up nothing but calls that are to be transcribed again.
    """
    loop = asyncio.get_running_loop()
    settings = runtime.settings
    pool = EnginePool(lambda spec: begun_again(settings, spec, runtime.hints))

    def wait(work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    def transcribing_with(
        able: Capabilities, why: str, decode: Decode, language: str = ""
    ) -> FinalTranscriber:
        return FinalTranscriber(
            runtime.database, runtime.blobs, runtime.publisher, decode=decode, engine=able, why=why, language=language,
            new_detector=SileroDetector, segmenter=SegmenterOptions(min_silence_ms=800),
        )  # fmt: skip

    def transcribing_again(spec: str) -> FinalTranscriber:
        engine = wait(pool.engine(spec))

        def decode(segments: Sequence[Samples], language: str) -> Sequence[Sequence[RecognizedWord]]:
            return wait(pool.decode_many(spec, segments, language=language))

        return transcribing_with(engine.able, engine.why, decode, language_in(spec))

    def decode(segments: Sequence[Samples], language: str) -> Sequence[Sequence[RecognizedWord]]:
        if runtime.final is None:
            raise EngineError("this process transcribes nothing after calls")
        return wait(runtime.final.host.decode_many(segments, language=language))

    fetching = RecordingDownloader(
        runtime.database, runtime.blobs, runtime.publisher, runtime.carrier, runtime.clock,
        FetchOptions(settings.fetch_attempts),
    )  # fmt: skip
    if runtime.final is not None:
        transcribing = transcribing_with(runtime.final.able, runtime.final.why, decode)
    else:
        selected = await asyncio.to_thread(engine_for, settings, Purpose.FINAL)
        transcribing = transcribing_with(survey(selected.choice).capabilities, selected.why, decode)
    both = settings.stream_track == "both_tracks" and settings.recording_track == "both"
    judging = LayerComparison(
        runtime.database, runtime.blobs, runtime.publisher, runtime.clock,
        Limits(late_stream_ms=settings.late_stream_ms), tracks=2 if both else 1, record=settings.record,
    )  # fmt: skip
    Stages(
        runtime.database, runtime.publisher, fetching, transcribing, judging, runtime.stage_times
    ).register(runtime.durable)
    retranscription.Again(transcribing_again).register(runtime.durable)
    await asyncio.to_thread(runtime.durable.launch, _queues(settings, again_only))
    try:
        moving = (runtime.moving.run(),) if runtime.moving else ()
        async with tasks(_adoption(runtime).run(), runtime.heartbeat.run(), pool.run(), *moving):
            yield
    finally:
        await asyncio.to_thread(runtime.durable.close)
        await pool.close()


def _adoption(runtime: Runtime) -> PeriodicJob:
    """Takes over the unfinished workflows of dead processes."""

    def adopt() -> None:
        adopted = runtime.durable.adopt(runtime.peers.dead)
        if adopted:
            log.warning("adopted %d unfinished workflows of a dead process", adopted)
        requeued = runtime.durable.revive()
        if requeued:
            log.warning("requeued %d workflows that this process had taken and lost", requeued)

    return PeriodicJob(name="adopt-workflows", job=adopt, interval_s=ADOPT_EVERY_S, immediately=True)
