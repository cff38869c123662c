"""The durable workflows in this process, and recovering those of dead ones."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager

from callreel.app.analysing import analysing_of, chat_server
from callreel.app.engines import start_requested_engine
from callreel.app.mail import report_mail_of
from callreel.app.measuring import measuring_of
from callreel.app.redaction import redactor_of
from callreel.app.runtime import Runtime, T, heartbeats, tasks
from callreel.app.schedules import eraser_of
from callreel.asr.engine import Transcription
from callreel.asr.engines.survey import Purpose, survey
from callreel.asr.silero import SileroDetector
from callreel.asr.workers.pool import EnginePool
from callreel.audio.samples import Samples
from callreel.audio.segmenter import SegmenterOptions
from callreel.domain.errors import EngineError
from callreel.domain.ids import CallId
from callreel.domain.verdict import Limits
from callreel.domain.work import Workflow, subject_of
from callreel.postcall import report_mail, retranscription, webhooks
from callreel.postcall.comparison import LayerComparison
from callreel.postcall.download import RecordingDownloader
from callreel.postcall.durable import IDLE_POLL_S, POLL_S, RetryPolicy, Steps
from callreel.postcall.missing_phrases import MissingPhrases
from callreel.postcall.transcription import FinalEngine, FinalTranscriber
from callreel.postcall.workflows import COMPARE_QUEUE, TRANSCRIBE_QUEUE, PostCallWorkflows
from callreel.runtime.outgoing import outside_client
from callreel.runtime.periodic import PeriodicJob
from callreel.runtime.retry import LAST_ATTEMPT, Retry, decide
from callreel.settings import Settings
from callreel.settings.engines import engine_for, language_in

log = logging.getLogger(__name__)

RECOVER_EVERY_S = 10.0
ERASE_QUEUE = "erase"


def _queues(settings: Settings, server: bool, retranscription_only: bool) -> dict[str, int]:
    """How much of each queue this process works on at once."""
    if retranscription_only:
        return {retranscription.QUEUE: 1}
    at_once = dict(settings.work_queues)
    if TRANSCRIBE_QUEUE in at_once:
        at_once[retranscription.QUEUE] = 1
    if server:
        at_once |= {ERASE_QUEUE: 1, webhooks.QUEUE: webhooks.AT_ONCE, report_mail.QUEUE: 1}
    return at_once


@asynccontextmanager
async def running_workflows(
    runtime: Runtime, *, server: bool = False, retranscription_only: bool = False
) -> AsyncIterator[None]:
    """Run durable workflows in this process, and recover those of dead ones.

    `server`: whether calls are erased, and webhooks and mails sent, here too. `retranscription_only` runs nothing but calls to be transcribed again.
    """
    pool = EnginePool(lambda spec: start_requested_engine(runtime.settings, spec, runtime.hints))
    await _register_post_call(runtime)
    chat = chat_server(runtime.settings)
    analysing = analysing_of(runtime.settings, runtime, chat, runtime.stage_times)
    analysing.register(runtime.durable, _policy(runtime.settings))
    retranscription.Retranscription(_pooled_transcriber(runtime, pool)).register(runtime.durable)
    _register_erasure(runtime)
    settings = runtime.settings
    report_mail_of(settings, runtime).register(runtime.durable, _policy(settings))
    client = outside_client(settings.webhook_timeout_s, settings.webhook_inside_hosts)
    webhooks.WebhookSender(runtime.database, runtime.clock, client, settings.public_url).register(
        runtime.durable
    )
    await asyncio.to_thread(
        runtime.durable.launch, _queues(runtime.settings, server, retranscription_only),
        idle_poll_s=IDLE_POLL_S if server else POLL_S,
    )  # fmt: skip
    try:
        offload = (runtime.offloader.job().run(),) if runtime.offloader else ()
        async with tasks(_recovery(runtime).run(), heartbeats(runtime.heartbeat).run(), pool.run(), *offload):
            yield
    finally:
        await asyncio.to_thread(runtime.durable.close)
        client.close()
        if chat is not None:
            chat.close()
        await pool.close()


async def _register_post_call(runtime: Runtime) -> None:
    settings, loop = runtime.settings, asyncio.get_running_loop()
    final = runtime.final

    def decode(segments: Sequence[Samples], language: str) -> Sequence[Transcription]:
        if final is None:
            raise EngineError("this process transcribes nothing after calls")
        return _result(loop, final.host.decode(segments, language=language))

    if final is not None:
        engine = FinalEngine(final.capabilities, decode, final.reason)
    else:
        selected = await asyncio.to_thread(engine_for, settings, Purpose.FINAL)
        engine = FinalEngine(survey(selected.choice).capabilities, decode, selected.reason)
    both = settings.stream_track == "both_tracks" and settings.recording_track == "both"
    comparison = LayerComparison(
        runtime.database, runtime.blobs, runtime.publisher, runtime.clock,
        Limits(late_stream_ms=settings.late_stream_ms), tracks=2 if both else 1, record=settings.record,
    )  # fmt: skip
    downloader = RecordingDownloader(
        runtime.database, runtime.blobs, runtime.publisher, runtime.carrier, runtime.clock
    )
    workflows = PostCallWorkflows(
        runtime.database, runtime.publisher, downloader, _transcriber(runtime, engine), comparison,
        measuring_of(settings, runtime), runtime.stage_times, after_verdict=_after_verdict(settings),
    )  # fmt: skip
    workflows.register(runtime.durable, _policy(settings))
    redactor_of(settings, runtime).register(runtime.durable, COMPARE_QUEUE, _policy(settings))


def _register_erasure(runtime: Runtime) -> None:
    eraser = eraser_of(runtime.settings, runtime, runtime.durable.unfinished)

    def erase(steps: Steps, key: str) -> None:
        for name, work in eraser.steps(CallId(subject_of(key))):
            steps.run(name, work)

    never_given_up = _policy(runtime.settings, last=None)
    runtime.durable.register(Workflow.ERASE, erase, queue=ERASE_QUEUE, decide=never_given_up)


def _after_verdict(settings: Settings) -> set[Workflow]:
    wanted = {
        Workflow.REDACT: settings.redaction.redacts,
        Workflow.ANALYSE: settings.language_model_url is not None,
    }
    return {workflow for workflow, on in wanted.items() if on}


def _transcriber(runtime: Runtime, engine: FinalEngine) -> FinalTranscriber:
    return FinalTranscriber(
        runtime.database, runtime.blobs, runtime.publisher, engine,
        MissingPhrases(runtime.database, runtime.clock),
        new_detector=SileroDetector, segmenter=SegmenterOptions(min_silence_ms=800),
    )  # fmt: skip


def _pooled_transcriber(runtime: Runtime, pool: EnginePool) -> Callable[[str], FinalTranscriber]:
    """Returns transcribers by engine spec; each engine starts when it is first needed."""
    loop = asyncio.get_running_loop()

    def transcriber(spec: str) -> FinalTranscriber:
        def decode(segments: Sequence[Samples], language: str) -> Sequence[Transcription]:
            return _result(loop, pool.decode(spec, segments, language=language))

        engine = _result(loop, pool.engine(spec))
        return _transcriber(
            runtime, FinalEngine(engine.capabilities, decode, engine.reason, language_in(spec))
        )

    return transcriber


def _result(loop: asyncio.AbstractEventLoop, work: Coroutine[object, object, T]) -> T:
    """Run `work` on the loop from a workflow's thread, and wait for it."""
    return asyncio.run_coroutine_threadsafe(work, loop).result()


def _policy(settings: Settings, last: int | None = LAST_ATTEMPT) -> RetryPolicy:
    def policy(error: Exception, failure: int) -> Retry:
        return decide(
            error, failure, park_after=settings.download_attempts, jitter=random.random(), last=last
        )

    return policy


def _recovery(runtime: Runtime) -> PeriodicJob:
    """Queues again the workflows of dead processes, and those that this process lost."""

    def recover() -> None:
        recovered = runtime.durable.recover(runtime.peers.dead)
        if recovered:
            log.warning("recovered unfinished workflows count=%d", recovered)

    return PeriodicJob(name="recover-workflows", job=recover, interval_s=RECOVER_EVERY_S, immediately=True)
