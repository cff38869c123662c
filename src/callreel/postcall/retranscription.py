"""Calls that were transcribed before, heard again by another engine or a better one: a run over one call, a day or all.

Each call is a durable workflow of its own, in a queue apart from the stages after calls and one at a time in each
process. A run that is cut off goes on where it was, in any process of the installation. What comes of a call is a new
revision of its final transcript; the ones before stay, and what people corrected stays shown.
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
"""Of its own, one call at a time in each process: nobody waits for it."""
_PART = "|"


@dataclass(frozen=True, slots=True)
class Run:
    """All calls that were asked for at once. `name` sorts by time."""

    name: str
    engine: str

    @classmethod
    def at(cls, moment: datetime, engine: str) -> "Run":
        return cls(f"{moment:%Y%m%dT%H%M%SZ}", engine)

    @property
    def prefix(self) -> str:
        """What the keys of its calls begin with."""
        return f"{self.name}{_PART}{self.engine}{_PART}"

    def key(self, call_id: CallId) -> str:
        return self.prefix + call_id


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come. `failed` says why by call."""

    waiting: int
    done: int
    failed: dict[CallId, str]

    @property
    def whole(self) -> int:
        return self.waiting + self.done + len(self.failed)


class Retranscription:
    """The workflow. `transcriber` gives the one with the named engine, which is loaded when it is first needed."""

    def __init__(self, transcriber: Callable[[str], FinalTranscriber]) -> None:
        self._transcriber = transcriber

    def register(self, engine: DurableEngine) -> None:
        """Make the workflow known, before the engine is launched."""
        engine.register(Workflow.TRANSCRIBE_AGAIN, self.transcribe, queue=QUEUE, decide=no_retry)

    def transcribe(self, steps: Steps, key: str) -> str:
        """One call of a run. Answers why it could not be done, or nothing."""
        run, spec, call_id = _parts(key)
        try:
            steps.run("transcribe", lambda: self._transcriber(spec).from_audio(call_id, run))
        except StepFailedError as failed:
            return failed.retry.why
        return ""


def no_retry(error: Exception, failure: int) -> Retry:
    """A call that cannot be transcribed again is reported, and whoever asked may ask again."""
    return Retry(str(error) if isinstance(error, CallreelError) else type(error).__name__, None)


def begin(engine: DurableEngine, run: Run, call_ids: Sequence[CallId]) -> None:
    """Queue the calls of a run; those that were queued before are not queued twice."""
    for call_id in call_ids:
        engine.start(Workflow.TRANSCRIBE_AGAIN, run.key(call_id))


def unfinished_run(engine: DurableEngine, spec: str) -> Run | None:
    """The newest run of engine `spec` that has calls left."""
    again = [item.key for item in engine.unfinished() if item.workflow is Workflow.TRANSCRIBE_AGAIN]
    names = [name for name, of_spec, _ in map(_parts, again) if of_spec == spec]
    return Run(max(names), spec) if names else None


def progress(engine: DurableEngine, run: Run) -> Progress:
    """How far it has come, whoever works on it."""
    outputs = engine.outputs(Workflow.TRANSCRIBE_AGAIN, run.prefix)
    ended = {_parts(key)[2]: failure for key, failure in outputs.items() if failure is not None}
    failed = {call_id: failure for call_id, failure in ended.items() if failure}
    return Progress(len(outputs) - len(ended), len(ended) - len(failed), failed)


def _parts(key: str) -> tuple[str, str, CallId]:
    run, spec, call_id = key.split(_PART)
    return run, spec, CallId(call_id)
