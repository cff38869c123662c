"""The stages after a call, in their order: what the durable workflows do.

    fetch: fetch -> split, then transcribe             a recording was announced as completed
    transcribe: transcribe, then judge
    judge: wait for the live side -> judge
    no-recording: wait for the live side -> keep the live text -> judge              the carrier has none, and said so, or
                                                                                     one whose channels are not apart

Each workflow waits in a queue, which processes work on as they are told: fetching costs the network, transcribing an
engine, judging a moment of processor time. Each stage is one durable, idempotent step keyed by the recording. What cannot
go on is parked with its reason; the call still gets its transcript from the live layers and its verdict.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.recording import CloudState
from callreel.domain.transcript import TranscriptKind
from callreel.postcall.comparison import LayerComparison
from callreel.postcall.dispatcher import (
    FETCH_WORKFLOW,
    JUDGE_WORKFLOW,
    NONE_WORKFLOW,
    TRANSCRIBE_WORKFLOW,
    WHOLE_WORKFLOW,
    recording_of,
)
from callreel.postcall.download import RecordingDownloader
from callreel.postcall.durable import Durable, Steps
from callreel.postcall.transcription import FinalTranscriber
from callreel.runtime.stage_times import StageTimes
from callreel.runtime.tracing import span
from callreel.store.calls import recordings
from callreel.store.db.database import Database
from callreel.store.transcripts import transcripts

log = logging.getLogger(__name__)

FETCH_QUEUE, TRANSCRIBE_QUEUE, JUDGE_QUEUE = "fetch", "transcribe", "judge"
WHOLE_QUEUE = "stages"
"""Of versions before 0.2."""
T = TypeVar("T")

LIVE_POLL_S = (0.25, 0.5, 1.0, 2.0, 5.0)
LIVE_POLLS = 200
"""About a quarter of an hour; then the stages go on with what there is."""


class Stages:
    """Bodies of the workflows. Nothing here does I/O outside of a step."""

    def __init__(
        self,
        database: Database,
        publisher: EventPublisher,
        fetching: RecordingDownloader,
        transcribing: FinalTranscriber,
        judging: LayerComparison,
        times: StageTimes | None = None,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._fetching = fetching
        self._transcribing = transcribing
        self._judging = judging
        self._times = times or StageTimes()

    def register(self, durable: Durable) -> None:
        """Make the workflows known, before the library is launched."""
        durable.register(FETCH_WORKFLOW, self.fetch, queue=FETCH_QUEUE)
        durable.register(TRANSCRIBE_WORKFLOW, self.transcribe, queue=TRANSCRIBE_QUEUE)
        durable.register(JUDGE_WORKFLOW, self.judge, queue=JUDGE_QUEUE)
        durable.register(NONE_WORKFLOW, self.none, queue=JUDGE_QUEUE)
        durable.register(WHOLE_WORKFLOW, self.whole, queue=WHOLE_QUEUE)

    def fetch(self, steps: Steps, key: str) -> None:
        """Bring a recording that the carrier has ready. `key` names it."""
        sid = recording_of(key)
        call_id = self._call(steps, sid)
        channels = self._bring(steps, sid, call_id)
        steps.then(TRANSCRIBE_WORKFLOW if channels == 2 else NONE_WORKFLOW, key)

    def transcribe(self, steps: Steps, key: str) -> None:
        """Make text of a recording's two channels."""
        sid = recording_of(key)
        call_id = self._call(steps, sid)
        self._stage(steps, sid, call_id, "transcribe", lambda: self._transcribing.from_recording(call_id))
        steps.then(JUDGE_WORKFLOW, key)

    def judge(self, steps: Steps, key: str) -> None:
        """Compare what there is when the live side is done too."""
        sid = recording_of(key)
        call_id = self._call(steps, sid)
        self._wait_for_live(steps, call_id)
        self._stage(steps, sid, call_id, "judge", lambda: self._judging.judge(call_id))

    def whole(self, steps: Steps, key: str) -> None:
        """All that follows a recording in one workflow, for those that an earlier version began."""
        sid = recording_of(key)
        call_id = self._call(steps, sid)
        channels = self._bring(steps, sid, call_id)
        if channels == 2:
            self._stage(steps, sid, call_id, "transcribe", lambda: self._transcribing.from_recording(call_id))
        self._wait_for_live(steps, call_id)
        if channels != 2:
            self._stage(steps, sid, call_id, "transcribe", lambda: self._transcribing.from_live(call_id))
        self._stage(steps, sid, call_id, "judge", lambda: self._judging.judge(call_id))

    def none(self, steps: Steps, key: str) -> None:
        """What follows when the carrier has no recording: the live layers still give a transcript and a verdict."""
        sid = recording_of(key)
        call_id = self._call(steps, sid)
        self._wait_for_live(steps, call_id)
        self._stage(steps, sid, call_id, "transcribe", lambda: self._transcribing.from_live(call_id))
        self._stage(steps, sid, call_id, "judge", lambda: self._judging.judge(call_id))

    def _call(self, steps: Steps, sid: RecordingSid) -> CallId:
        return CallId(steps.run("call", lambda: self._fetching.rows(sid)[0].id))

    def _bring(self, steps: Steps, sid: RecordingSid, call_id: CallId) -> int:
        """Fetch and split; answers the number of channels, 0 where there is no recording now."""
        self._fetch(steps, sid, call_id)
        if not steps.run("stored", lambda: self._fetching.rows(sid)[1].state is CloudState.STORED):
            steps.run("park fetch", lambda: self._tell(call_id, sid, "fetch", "parked", self._why(sid)))
            return 0
        steps.run("told fetch", lambda: self._tell(call_id, sid, "fetch", "done"))
        return self._stage(steps, sid, call_id, "split", lambda: self._fetching.split(sid)) or 0

    def _fetch(self, steps: Steps, sid: RecordingSid, call_id: CallId) -> None:
        steps.run("tell fetch", lambda: self._tell(call_id, sid, "fetch", "running"))
        attempt = 1
        while (wait_s := self._attempt(steps, sid, attempt)) is not None:
            steps.sleep(wait_s)
            attempt += 1

    def _attempt(self, steps: Steps, sid: RecordingSid, attempt: int) -> float | None:
        work = partial(self._fetching.attempt, sid, attempt)
        return steps.run(f"fetch {attempt}", lambda: self._watched("fetch", sid, work))

    def _watched(self, stage: str, sid: RecordingSid, work: Callable[[], T]) -> T:
        """With its time and its span kept."""
        call = self._fetching.rows(sid)[0]
        with span(f"stage {stage}", call.leg_sid, call_id=call.id, stage=stage):
            return self._times.timed(stage, work)

    def _stage(
        self, steps: Steps, sid: RecordingSid, call_id: CallId, name: str, work: Callable[[], int]
    ) -> int | None:
        """One stage; a failure parks it with its reason and lets the following ones do what they can."""
        steps.run(f"tell {name}", lambda: self._tell(call_id, sid, name, "running"))
        try:
            result = steps.run(name, lambda: self._watched(name, sid, work))
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            log.exception("stage %s failed", name, extra={"call_id": call_id})
            steps.run(f"park {name}", lambda: self._tell(call_id, sid, name, "parked", why))
            return None
        steps.run(f"told {name}", lambda: self._tell(call_id, sid, name, "done"))
        return result

    def _tell(
        self, call_id: CallId, sid: RecordingSid, stage: str, state: str, why: str | None = None
    ) -> None:
        with self._database.write() as conn:
            row = recordings.get(conn, sid)
            # Why a stage was parked stays to be seen until that stage runs again.
            parked_before = row is not None and row.stage_error is not None and row.stage != stage
            noted = row is not None and why is not None and (row.stage, row.stage_error) == (stage, why)
            if state != "done" and not parked_before and not noted:
                recordings.set_stage(conn, sid, stage, why)
            told = LiveEvent(call_id, EventKind.STAGE, {"stage": stage, "state": state, "why": why})
            event = self._publisher.record(conn, told)
        self._publisher.publish(event)

    def _why(self, sid: RecordingSid) -> str | None:
        return self._fetching.rows(sid)[1].stage_error

    def _wait_for_live(self, steps: Steps, call_id: CallId) -> None:
        """Until the live layers are closed and the live transcript is kept, or for a quarter of an hour."""
        for poll in range(LIVE_POLLS):
            if steps.run(f"live {poll}", lambda: self._live_is_done(call_id)):
                return
            steps.sleep(LIVE_POLL_S[min(poll, len(LIVE_POLL_S) - 1)])

    def _live_is_done(self, call_id: CallId) -> bool:
        with self._database.read() as conn:
            return transcripts.latest(conn, call_id, TranscriptKind.LIVE) is not None
