"""The timeline of a call: when each step began, from its rows and stored events. It only reads.

Steps that did not happen, or whose events retention has deleted, are left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from callreel.domain.events import EventKind, Json
from callreel.domain.json_time import json_time
from callreel.domain.recording import CloudState, Layer, LayerState
from callreel.review.costs import between_ms
from callreel.store.calls import live_events, pauses, stream_tokens, streams
from callreel.store.calls.calls import CallRow
from callreel.store.calls.live_events import StoredEvent


class Step(StrEnum):
    """In the order in which steps of the same time are listed."""

    PLACED = "placed"
    TWIML = "twiml"
    STREAM = "stream"
    LAYERS = "layers"
    ANSWERED = "answered"
    PAUSED = "paused"
    ENDED = "ended"
    CALLBACK = "callback"
    FETCHED = "fetched"
    TRANSCRIBED = "transcribed"
    VERDICT = "verdict"


@dataclass(frozen=True, slots=True)
class Entry:
    """`until` is the end of a step that lasts; `detail` is a state, verdict or reason."""

    step: Step
    at: datetime
    until: datetime | None = None
    detail: str | None = None

    def summary(self, since: datetime) -> Json:
        return {
            "step": self.step.value,
            "at": json_time(self.at),
            "after_ms": between_ms(since, self.at),
            "duration_ms": None if self.until is None else between_ms(self.at, self.until),
            "detail": self.detail,
        }


_STAGES = {"download": Step.FETCHED, "transcribe": Step.TRANSCRIBED}
_KINDS = (EventKind.LAYER, EventKind.RECORDING, EventKind.STAGE, EventKind.VERDICT)
_REPORTED = (CloudState.IN_PROGRESS, CloudState.COMPLETED, CloudState.ABSENT, CloudState.FAILED)


def call_timeline(conn: Connection, row: CallRow) -> list[Json]:
    """The steps in the order of their time: `{step, at, after_ms, duration_ms, detail}`; `after_ms` counts from the first."""
    entries = [
        *_of_rows(conn, row),
        *_of_events(live_events.of_kinds(conn, row.id, _KINDS)),
    ]
    order = list(Step)
    entries.sort(key=lambda entry: (entry.at, order.index(entry.step)))
    return [entry.summary(row.created_at) for entry in entries]


def _of_rows(conn: Connection, row: CallRow) -> Iterable[Entry]:
    yield Entry(Step.PLACED, row.created_at)
    if (issued := stream_tokens.first_issued(conn, row.id)) is not None:
        yield Entry(Step.TWIML, issued)
    for stream in streams.of_call(conn, row.id):
        yield Entry(Step.STREAM, stream.started_at, stream.stopped_at, stream.ended_by)
    if row.answered_at is not None:
        yield Entry(Step.ANSWERED, row.answered_at, row.ended_at)
    for pause in pauses.of_call(conn, row.id):
        yield Entry(Step.PAUSED, pause.began_at, pause.ended_at, pause.cause)
    if row.ended_at is not None:
        yield Entry(Step.ENDED, row.ended_at)


def _of_events(events: Sequence[StoredEvent]) -> Iterable[Entry]:
    layers = [event for event in events if event.kind is EventKind.LAYER and _is_live_layer(event)]
    begun = [event.at for event in layers if event.data["state"] == LayerState.RECORDING]
    ended = [event.at for event in layers if event.data["state"] != LayerState.RECORDING]
    if begun:
        yield Entry(Step.LAYERS, min(begun), max(ended, default=None))
    started: dict[Step, datetime] = {}
    for event in events:
        state = str(event.data.get("state"))
        step = _STAGES.get(str(event.data.get("stage")))
        if event.kind is EventKind.RECORDING and state in _REPORTED:
            yield Entry(Step.CALLBACK, event.at, detail=state)
        elif event.kind is EventKind.VERDICT:
            yield Entry(Step.VERDICT, event.at, detail=str(event.data["verdict"]))
        elif step is not None and state == "running":
            started[step] = event.at
        elif step is not None and (began := started.pop(step, None)) is not None:
            yield Entry(step, began, event.at, None if state == "done" else state)


def _is_live_layer(event: StoredEvent) -> bool:
    return event.data["layer"] in (Layer.LIVE_8K, Layer.LIVE_16K)
