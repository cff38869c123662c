"""Calls that were transcribed before, heard again by another engine or a better one: a run over one call, a day or all.

Each call is a durable workflow of its own, in a queue apart from the stages after calls and one at a time in each
process. A run that is cut off goes on where it was, in any process of the installation. What comes of a call is a new
revision of its final transcript; the ones before stay, and what people corrected stays shown.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from callreel.domain.errors import CallreelError
from callreel.domain.ids import CallId
from callreel.postcall.durable import Durable, Steps
from callreel.postcall.transcription import FinalTranscriber

log = logging.getLogger(__name__)

WORKFLOW = "again"
QUEUE = "again"
"""Of its own, one call at a time: nobody waits for it."""
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


class Again:
    """The workflow. `transcribing` gives the stage with the named engine, which is loaded when it is first needed."""

    def __init__(self, transcribing: Callable[[str], FinalTranscriber]) -> None:
        self._transcribing = transcribing

    def register(self, durable: Durable) -> None:
        """Make the workflow known, before the library is launched."""
        durable.register(WORKFLOW, self.again, queue=QUEUE)

    def again(self, steps: Steps, key: str) -> str:
        """One call of a run. Answers why it could not be done, or nothing."""
        run, engine, call_id = _parts(key)
        try:
            steps.run("transcribe again", lambda: self._transcribing(engine).from_audio(call_id, run))
        except Exception as error:
            log.warning("a call was not transcribed again: %s", error, extra={"call_id": call_id})
            return str(error) if isinstance(error, CallreelError) else type(error).__name__
        return ""


def begin(durable: Durable, run: Run, call_ids: Sequence[CallId]) -> None:
    """Queue the calls of a run; those that were queued before are not queued twice."""
    for call_id in call_ids:
        durable.start(WORKFLOW, run.key(call_id))


def unfinished_run(durable: Durable, engine: str) -> Run | None:
    """The newest run of `engine` that has calls left."""
    names = []
    for found in durable.unfinished():
        workflow, _, key = found.workflow_id.partition(":")
        if workflow == WORKFLOW:
            name, of_engine, _ = _parts(key)
            if of_engine == engine:
                names.append(name)
    return Run(max(names), engine) if names else None


def progress(durable: Durable, run: Run) -> Progress:
    """How far it has come, whoever works on it."""
    waiting = done = 0
    failed: dict[CallId, str] = {}
    for found in durable.of_prefix(WORKFLOW, run.prefix):
        if not found.over:
            waiting += 1
        elif found.output:
            failed[_parts(found.key)[2]] = found.output
        else:
            done += 1
    return Progress(waiting, done, failed)


def _parts(key: str) -> tuple[str, str, CallId]:
    run, engine, call_id = key.split(_PART)
    return run, engine, CallId(call_id)
