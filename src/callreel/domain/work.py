"""Durable work, most of it on a call: the names of the workflows, their state for the operations page, and the work queue."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Workflow(StrEnum):
    """The workflows of the durable engine. The value is part of each workflow's id."""

    DOWNLOAD = "download"
    TRANSCRIBE = "transcribe"
    COMPARE = "compare"
    NO_RECORDING = "no-recording"
    TRANSCRIBE_AGAIN = "transcribe-again"
    ERASE = "erase"
    REDACT = "redact"
    ANALYSE = "analyse"
    DELIVER = "deliver"
    MAIL_REPORT = "mail-report"


ON_RECORDINGS = (Workflow.DOWNLOAD, Workflow.TRANSCRIBE, Workflow.COMPARE, Workflow.NO_RECORDING)
"""Workflows whose subject is a recording."""


class WorkState(StrEnum):
    """`QUEUED` waits for a process, `RETRYING` for its next attempt; `PARKED` does too, and needs a person's attention."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A workflow that has not ended.

    `attempt` counts its failures; `failure` and `step` are the message and the step of the last one. `retry_at` is None
    if only a person can start the next attempt.
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
        """The recording's SID or the call's id."""
        return subject_of(self.key)


class WorkQueue(Protocol):
    """The durable engine's interface for ordering, listing and accelerating work. Blocking."""

    def start(self, workflow: Workflow, key: str) -> None:
        """Queue a workflow, once for each `key`. If it exists and waits for its next attempt, that runs now."""
        ...

    def unfinished(self, *prefixes: str) -> Sequence[WorkItem]:
        """Workflows that have not ended; with `prefixes` only those whose keys begin with one of them."""
        ...

    def run_now(self, workflow: Workflow, key: str) -> int:
        """Run waiting attempts of workflows whose keys begin with `key` now; returns their number."""
        ...

    def cancel(self, workflow: Workflow, key: str) -> int:
        """Cancel workflows that wait for their next attempt; returns their number."""
        ...


class NoWork(WorkQueue):
    """The work queue of an installation without a durable engine."""

    def start(self, workflow: Workflow, key: str) -> None:
        pass

    def unfinished(self, *prefixes: str) -> Sequence[WorkItem]:
        return []

    def run_now(self, workflow: Workflow, key: str) -> int:
        return 0

    def cancel(self, workflow: Workflow, key: str) -> int:
        return 0


def order_key(subject: str, token: str) -> str:
    """The key of one order for `subject`; `token` distinguishes it from earlier orders."""
    return f"{subject}#{token}"


def subject_of(key: str) -> str:
    return key.partition("#")[0]
