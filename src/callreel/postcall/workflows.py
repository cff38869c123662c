"""The workflows after a call, in their order.

    fetch: download the recording, split it, then transcribe
    transcribe: transcribe both channels, then judge
    judge: compare the layers and give the verdict
    no-recording: keep the live transcript as the final one unless another recording of the call gives its text, then
                  give the verdict (the carrier has no recording, or one whose channels cannot be attributed)

Each workflow waits in a queue, which processes work on as their settings say: fetching costs the network, transcribing
an engine, judging a moment of processor time. Each step is idempotent and keyed by the recording. Where a workflow is
parked, the next one runs anyway, so that the call gets the transcript and verdict that are possible now; the parked one is
retried.
"""

from collections.abc import Callable
from typing import TypeVar

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.work import Workflow, subject_of
from callreel.postcall.comparison import LayerComparison
from callreel.postcall.download import RecordingDownloader
from callreel.postcall.durable import DurableEngine, RetryPolicy, StepFailedError, Steps
from callreel.postcall.transcription import FinalTranscriber
from callreel.runtime.stage_times import StageTimes
from callreel.runtime.tracing import span
from callreel.store.db.database import Database

FETCH_QUEUE, TRANSCRIBE_QUEUE, JUDGE_QUEUE = "fetch", "transcribe", "judge"
T = TypeVar("T")


class PostCallWorkflows:
    """Bodies of the workflows. Nothing here does I/O outside of a step."""

    def __init__(
        self,
        database: Database,
        publisher: EventPublisher,
        downloader: RecordingDownloader,
        transcriber: FinalTranscriber,
        comparison: LayerComparison,
        times: StageTimes | None = None,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._downloader = downloader
        self._transcriber = transcriber
        self._comparison = comparison
        self._times = times or StageTimes()

    def register(self, engine: DurableEngine, decide: RetryPolicy) -> None:
        """Make the workflows known, before the engine is launched."""
        engine.register(Workflow.FETCH, self.fetch, queue=FETCH_QUEUE, decide=decide)
        engine.register(Workflow.TRANSCRIBE, self.transcribe, queue=TRANSCRIBE_QUEUE, decide=decide)
        engine.register(Workflow.JUDGE, self.judge, queue=JUDGE_QUEUE, decide=decide)
        engine.register(Workflow.NO_RECORDING, self.no_recording, queue=JUDGE_QUEUE, decide=decide)

    def fetch(self, steps: Steps, key: str) -> None:
        """Download a recording that the carrier has ready, and split it into one file a role."""
        sid = RecordingSid(subject_of(key))
        try:
            self._stage(steps, "fetch", sid, lambda _: self._downloader.fetch(sid))
            channels = self._stage(steps, "split", sid, lambda _: self._downloader.split(sid))
        except StepFailedError as failed:
            if failed.retry.parked:
                why = failed.retry.why
                steps.run("park", lambda: self._downloader.park(sid, why))
                steps.then(Workflow.NO_RECORDING, key)
            raise
        steps.then(Workflow.TRANSCRIBE if channels == 2 else Workflow.NO_RECORDING, key)

    def transcribe(self, steps: Steps, key: str) -> None:
        """Make text of a recording's two channels."""
        sid = RecordingSid(subject_of(key))
        try:
            self._stage(steps, "transcribe", sid, self._transcriber.from_recording)
        except StepFailedError as failed:
            if failed.retry.parked:
                steps.then(Workflow.JUDGE, key)
            raise
        steps.then(Workflow.JUDGE, key)

    def judge(self, steps: Steps, key: str) -> None:
        """Compare the layers and give the call its verdict."""
        self._stage(steps, "judge", RecordingSid(subject_of(key)), self._comparison.judge)

    def no_recording(self, steps: Steps, key: str) -> None:
        """Give the call the transcript and the verdict that its live layers allow."""
        sid = RecordingSid(subject_of(key))
        self._stage(steps, "transcribe", sid, self._transcriber.without_recording)
        self._stage(steps, "judge", sid, self._comparison.judge)

    def _stage(self, steps: Steps, name: str, sid: RecordingSid, work: Callable[[CallId], T]) -> T:
        """One step, announced to the call's page, with its time and its span kept."""

        def announced() -> T:
            call = self._downloader.rows(sid)[0]
            self._announce(call.id, name, "running")
            with span(f"stage {name}", call.leg_sid, call_id=call.id, stage=name):
                result = self._times.timed(name, lambda: work(call.id))
            self._announce(call.id, name, "done")
            return result

        try:
            return steps.run(name, announced)
        except StepFailedError as failed:
            if failed.retry.parked:
                why = failed.retry.why
                steps.run(f"announce {name}", lambda: self._announce_parked(sid, name, why))
            raise

    def _announce_parked(self, sid: RecordingSid, stage: str, why: str) -> None:
        self._announce(self._downloader.rows(sid)[0].id, stage, "parked", why)

    def _announce(self, call_id: CallId, stage: str, state: str, why: str | None = None) -> None:
        change = LiveEvent(call_id, EventKind.STAGE, {"stage": stage, "state": state, "why": why})
        with self._database.write() as conn:
            event = self._publisher.record(conn, change)
        self._publisher.publish(event)
