"""The workflows after a call, and the dispatcher that starts them. In their order:

    download: download the recording, split it, then transcribe
    transcribe: transcribe both channels, then compare
    compare: compare the layers and give the verdict, measure how the call went, then redact if the policy says so
    analyse: ask a language model about the transcript, where one is set; after redaction (`postcall/analysing.py`)
    no-recording: keep the live transcript as the final one unless another recording of the call gives its text, then
                  give the verdict and measure (the carrier has no recording, or one whose channels cannot be attributed)

Each workflow waits in a queue, which processes work on as their settings say: downloading costs the network, transcribing
an engine, comparing a moment of processor time. Each step is idempotent and keyed by the recording. Where a workflow is
parked, the next one runs anyway, so that the call gets the transcript and verdict that are possible now; the parked one is
retried.
"""

import logging
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import TypeVar

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.webhook import DeliveryState
from callreel.domain.work import Workflow, WorkQueue, order_key, subject_of
from callreel.postcall.comparison import LayerComparison
from callreel.postcall.download import RecordingDownloader
from callreel.postcall.durable import DurableEngine, RetryPolicy, StepFailedError, Steps
from callreel.postcall.measuring import Measuring
from callreel.postcall.transcription import FinalTranscriber
from callreel.runtime.clock import Clock
from callreel.runtime.stage_times import StageTimes
from callreel.runtime.tracing import span
from callreel.store.calls import outbox, recordings
from callreel.store.db.database import Database
from callreel.store.webhooks import deliveries

log = logging.getLogger(__name__)

DOWNLOAD_QUEUE, TRANSCRIBE_QUEUE, COMPARE_QUEUE = "download", "transcribe", "compare"
SWEEP_EVERY_S = 2.0
LIVE_WAIT = timedelta(minutes=15)
"""How long after its end a call's live transcript is waited for; then the work begins with what there is."""
LOST_AFTER = timedelta(minutes=30)
MOST_WEBHOOKS = 100
"""Of one sweep, so that thousands of them, as when many calls are erased, do not delay the work on other calls."""
MOST_REORDERED = 500
"""Webhooks of one look for lost work."""
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
        measuring: Measuring,
        times: StageTimes | None = None,
        *,
        after_verdict: Collection[Workflow] = (),
    ) -> None:
        """`after_verdict`: which of `REDACT` and `ANALYSE` follow the verdict of a call."""
        self._after_verdict = after_verdict
        self._database = database
        self._publisher = publisher
        self._downloader = downloader
        self._transcriber = transcriber
        self._comparison = comparison
        self._measuring = measuring
        self._times = times or StageTimes()

    def register(self, engine: DurableEngine, decide: RetryPolicy) -> None:
        """Make the workflows known, before the engine is launched."""
        engine.register(Workflow.DOWNLOAD, self.download, queue=DOWNLOAD_QUEUE, decide=decide)
        engine.register(Workflow.TRANSCRIBE, self.transcribe, queue=TRANSCRIBE_QUEUE, decide=decide)
        engine.register(Workflow.COMPARE, self.compare, queue=COMPARE_QUEUE, decide=decide)
        engine.register(Workflow.NO_RECORDING, self.no_recording, queue=COMPARE_QUEUE, decide=decide)

    def download(self, steps: Steps, key: str) -> None:
        """Download a recording that the carrier has ready, and split it into one file per role."""
        sid = RecordingSid(subject_of(key))
        try:
            self._stage(steps, "download", sid, lambda _: self._downloader.download(sid))
            channels = self._stage(steps, "split", sid, lambda _: self._downloader.split(sid))
        except StepFailedError as failed:
            if failed.retry.parked:
                reason = failed.retry.reason
                steps.run("park", lambda: self._downloader.park(sid, reason))
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
                steps.then(Workflow.COMPARE, key)
            raise
        steps.then(Workflow.COMPARE, key)

    def compare(self, steps: Steps, key: str) -> None:
        """Compare the layers and give the call its verdict."""
        sid = RecordingSid(subject_of(key))
        self._judge(steps, sid, key)

    def no_recording(self, steps: Steps, key: str) -> None:
        """Give the call the transcript and the verdict that its live layers allow."""
        sid = RecordingSid(subject_of(key))
        self._stage(steps, "transcribe", sid, self._transcriber.without_recording)
        self._judge(steps, sid, key)

    def _judge(self, steps: Steps, sid: RecordingSid, key: str) -> None:
        """Compare and measure, then redact: redacting may silence what is measured."""
        self._stage(steps, "compare", sid, self._comparison.compare)
        try:
            self._stage(steps, "measure", sid, self._measuring.measure)
        except StepFailedError as failed:
            if failed.retry.parked:
                self._redact_and_analyse(steps, sid, key)
            raise
        self._redact_and_analyse(steps, sid, key)

    def _redact_and_analyse(self, steps: Steps, sid: RecordingSid, key: str) -> None:
        """Queue the redaction of the call, also if the policy was switched off after its text was withheld, else its analysis.

        The redaction queues the analysis when it is done.
        """

        def wanted() -> str:
            call = self._downloader.rows(sid)[0]
            return call.id if Workflow.REDACT in self._after_verdict or call.redaction_awaited else ""

        if call_id := steps.run("redaction", wanted):
            steps.then(Workflow.REDACT, order_key(call_id, key))
        elif Workflow.ANALYSE in self._after_verdict:
            call_id = steps.run("analysis", lambda: self._downloader.rows(sid)[0].id)
            steps.then(Workflow.ANALYSE, order_key(call_id, key))

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
                reason = failed.retry.reason
                steps.run(f"announce {name}", lambda: self._announce_parked(sid, name, reason))
            raise

    def _announce_parked(self, sid: RecordingSid, stage: str, reason: str) -> None:
        self._announce(self._downloader.rows(sid)[0].id, stage, "parked", reason)

    def _announce(self, call_id: CallId, stage: str, state: str, reason: str | None = None) -> None:
        change = LiveEvent(call_id, EventKind.STAGE, {"stage": stage, "state": state, "reason": reason})
        with self._database.write() as conn:
            event = self._publisher.record(conn, change)
        self._publisher.publish(event)


class Dispatcher:
    """Starts the workflows that the outbox orders. Blocking."""

    def __init__(self, database: Database, engine: WorkQueue, clock: Clock) -> None:
        self._database = database
        self._engine = engine
        self._clock = clock

    def sweep(self) -> int:
        """Start what is ordered and can start; returns how many workflows."""
        with self._database.read() as conn:
            due = outbox.due(conn, self._clock.now() - LIVE_WAIT)
        webhooks = [order for order in due if order.workflow is Workflow.DELIVER]
        due = [order for order in due if order.workflow is not Workflow.DELIVER] + webhooks[:MOST_WEBHOOKS]
        for order in due:
            self._engine.start(order.workflow, order.key)
            with self._database.write() as conn:
                outbox.remove(conn, order)
        return len(due)

    def reorder_lost(self) -> int:
        """Order again the work on calls that neither have a verdict nor are worked on, and webhooks; returns how many.

        Nothing should come to that but an engine's database that was restored from an older copy than ours, or lost.
        """
        now = self._clock.now()
        with self._database.read() as conn:
            unjudged = recordings.unjudged(conn, now - LOST_AFTER)
        lost = [row for row in unjudged if not self._engine.unfinished(row.sid)]
        for row in lost:
            log.error("work on a recording was lost and is ordered again", extra={"call_id": row.call_id})
            with self._database.write() as conn:
                recordings.order_work(conn, row)
        return len(lost) + self._reorder_webhooks(now)

    def _reorder_webhooks(self, now: datetime) -> int:
        with self._database.read() as conn:
            pending = deliveries.unordered(conn, now - LOST_AFTER)
        if not pending:
            return 0
        # All of them: a list of thousands of keys is more than SQLite accepts as a condition.
        known = {item.subject for item in self._engine.unfinished() if item.workflow is Workflow.DELIVER}
        lost = [delivery_id for delivery_id in pending if delivery_id not in known][:MOST_REORDERED]
        ordered = 0
        for delivery_id in lost:
            with self._database.write() as conn:  # one that was delivered meanwhile is left alone
                ordered += deliveries.order_again(conn, delivery_id, now, of=[DeliveryState.PENDING])
        return ordered
