"""Transcribing calls again, with another or a better engine: a run over one call, a day of calls or all.

Each call is a separate durable workflow in a queue of its own, one at a time in each process. An interrupted run continues
in any process of the installation. The result is a new revision of the call's final transcript; earlier revisions stay, and
so do people's corrections.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from callreel.domain.errors import CallreelError
from callreel.domain.ids import CallId
from callreel.domain.work import Workflow
from callreel.postcall.durable import DurableEngine, StepFailedError, Steps
from callreel.postcall.transcription import FinalTranscriber
from callreel.runtime.retry import Retry

QUEUE = "again"
"""A separate queue, one call at a time in each process: this work is not urgent."""
_PART = "|"


@dataclass(frozen=True, slots=True)
class Run:
    """The calls of one request. `name` sorts by time."""

    name: str
    engine: str

    @classmethod
    def at(cls, moment: datetime, engine: str) -> "Run":
        return cls(f"{moment:%Y%m%dT%H%M%SZ}", engine)

    @property
    def prefix(self) -> str:
        """The prefix of the keys of its calls."""
        return f"{self.name}{_PART}{self.engine}{_PART}"

    def key(self, call_id: CallId) -> str:
        return self.prefix + call_id


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run. `failed` has the reason of each failed call."""

    waiting: int
    done: int
    failed: dict[CallId, str]

    @property
    def whole(self) -> int:
        return self.waiting + self.done + len(self.failed)


class Retranscription:
    """The workflow. `transcriber` returns a transcriber with the named engine, which is loaded on first use."""

    def __init__(self, transcriber: Callable[[str], FinalTranscriber]) -> None:
        self._transcriber = transcriber

    def register(self, engine: DurableEngine) -> None:
        """Register the workflow before the engine is launched."""
        engine.register(Workflow.TRANSCRIBE_AGAIN, self.transcribe, queue=QUEUE, decide=no_retry)

    def transcribe(self, steps: Steps, key: str) -> str:
        """Transcribe one call of a run. Returns the reason of a failure, or an empty text."""
        run, spec, call_id = _parts(key)
        try:
            steps.run("transcribe", lambda: self._transcriber(spec).from_audio(call_id, run))
        except StepFailedError as failed:
            return failed.retry.reason
        return ""


def no_retry(error: Exception, failure: int) -> Retry:
    """Never retry: a call that cannot be transcribed again is reported to the person who requested it."""
    return Retry(str(error) if isinstance(error, CallreelError) else type(error).__name__, None)


def begin(engine: DurableEngine, run: Run, call_ids: Sequence[CallId]) -> None:
    """Queue the calls of a run; calls that are already queued stay as they are."""
    for call_id in call_ids:
        engine.start(Workflow.TRANSCRIBE_AGAIN, run.key(call_id))


def unfinished_run(engine: DurableEngine, spec: str) -> Run | None:
    """The newest unfinished run of engine `spec`."""
    again = [item.key for item in engine.unfinished() if item.workflow is Workflow.TRANSCRIBE_AGAIN]
    names = [name for name, of_spec, _ in map(_parts, again) if of_spec == spec]
    return Run(max(names), spec) if names else None


def progress(engine: DurableEngine, run: Run) -> Progress:
    """The progress of a run in all processes."""
    outputs = engine.outputs(Workflow.TRANSCRIBE_AGAIN, run.prefix)
    ended = {_parts(key)[2]: failure for key, failure in outputs.items() if failure is not None}
    failed = {call_id: failure for call_id, failure in ended.items() if failure}
    return Progress(len(outputs) - len(ended), len(ended) - len(failed), failed)


def _parts(key: str) -> tuple[str, str, CallId]:
    run, spec, call_id = key.split(_PART)
    return run, spec, CallId(call_id)
