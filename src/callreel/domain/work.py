"""Durable work on a call: the workflows by name, and one of them as the operations page shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Workflow(StrEnum):
    """What the durable engine runs. The value is part of each workflow's id."""

    FETCH = "fetch"
    TRANSCRIBE = "transcribe"
    JUDGE = "judge"
    NO_RECORDING = "no-recording"
    TRANSCRIBE_AGAIN = "transcribe-again"
    ERASE = "erase"


ON_RECORDINGS = (Workflow.FETCH, Workflow.TRANSCRIBE, Workflow.JUDGE, Workflow.NO_RECORDING)
"""Workflows whose subject is a recording."""


class WorkState(StrEnum):
    """`QUEUED` waits for a process; `RETRYING` waits for its next attempt; `PARKED` does too, and a person should know."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A workflow that has not ended.

    `attempt` counts its failures so far, `failure` is what the last one was and `step` where. `retry_at` is None where
    the next attempt waits for a person.
    """

    workflow: Workflow
    key: str
    state: WorkState
    updated_at: datetime
    attempt: int = 0
    step: str | None = None
    failure: str | None = None
    retry_at: datetime | None = None

    @property
    def subject(self) -> str:
        """What the work is about: a recording's SID, or a call's id."""
        return subject_of(self.key)


class WorkQueue(Protocol):
    """The durable engine as those see it who order work, show it, or hurry it. Blocking."""

    def start(self, workflow: Workflow, key: str) -> None:
        """Queue a workflow, once for each `key`; where its next attempt waits, that runs now."""
        ...

    def unfinished(self, *prefixes: str) -> Sequence[WorkItem]:
        """Workflows that have not ended; with `prefixes` only those whose keys begin with one of them."""
        ...

    def run_now(self, workflow: Workflow, key: str) -> int:
        """Let attempts whose keys begin with `key` and that wait for their time run now; answers how many."""
        ...

    def cancel(self, workflow: Workflow, key: str) -> int:
        """Drop attempts that wait for their time; answers how many."""
        ...


class NoWork(WorkQueue):
    """Of an installation without a durable engine."""

    def start(self, workflow: Workflow, key: str) -> None:
        pass

    def unfinished(self, *prefixes: str) -> Sequence[WorkItem]:
        return []

    def run_now(self, workflow: Workflow, key: str) -> int:
        return 0

    def cancel(self, workflow: Workflow, key: str) -> int:
        return 0


def order_key(subject: str, token: str) -> str:
    """The key of one order to work on `subject`; `token` tells it from earlier orders."""
    return f"{subject}#{token}"


def subject_of(key: str) -> str:
    return key.partition("#")[0]
