"""The legs, recordings and running calls of the simulated carrier, in memory: what its REST API shows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from callreel.simulator.calls.cloud_recording import CloudRecording
from callreel.simulator.calls.conference import Conference
from callreel.simulator.calls.twiml_script import Callback, StartRecording, StartStream
from callreel.simulator.faults import PendingFaults
from callreel.simulator.scenario import StreamOutcome


@dataclass(slots=True, eq=False)
class Leg:
    """One party's connection. `direction` is `inbound` or `outbound-api` for a parent leg, else `outbound-dial`."""

    sid: str
    from_: str
    to: str
    direction: str
    began_at: datetime
    status: str = "ringing"
    parent_sid: str | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def duration_s(self) -> int:
        """From answer to end, in whole seconds; 0 for an unanswered leg. Callbacks and REST both report this."""
        if self.answered_at is None or self.ended_at is None:
            return 0
        return round((self.ended_at - self.answered_at).total_seconds())


@dataclass(frozen=True, slots=True)
class StreamState:
    """A media stream as REST reports it. `status` is `in-progress` or `stopped`."""

    sid: str
    name: str | None
    status: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Redirection:
    """The document with which a running call continues: at `url`, or `twiml` itself."""

    url: str = ""
    method: str = "POST"
    twiml: str = ""


@dataclass(frozen=True, slots=True)
class OutgoingCall:
    """A call that the application places over REST: the phone `to` is rung, then the document runs.

    `recording` begins with the answer. `time_limit_s` counts from the answer.
    """

    to: str
    from_: str
    document: Redirection
    callback: Callback | None
    timeout_s: int
    time_limit_s: int | None = None
    recording: StartRecording | None = None


class LiveCall(Protocol):
    """A running call, and what REST can do to it."""

    @property
    def stream_outcomes(self) -> tuple[StreamOutcome, ...]:
        """Its media streams until now."""
        ...

    def hang_up(self) -> None: ...

    def redirect(self, redirection: Redirection) -> None: ...

    def amend(self, time_limit_s: int | None, callback: Callback | None) -> None:
        """Replace the time limit, counted from the answer, and the callback of the call's end; None keeps them."""
        ...

    def start_stream(self, order: StartStream) -> StreamState:
        """Raises StreamRefusedError."""
        ...

    def stop_stream(self, sid_or_name: str) -> StreamState | None:
        """None if there is no such stream."""
        ...

    def start_recording(self, order: StartRecording, source: str) -> CloudRecording: ...

    def pause_recording(self, recording: CloudRecording, *, skip: bool) -> None: ...

    def resume_recording(self, recording: CloudRecording) -> None: ...

    def stop_recording(self, recording: CloudRecording) -> None: ...


@dataclass(slots=True, eq=False)
class CarrierState:
    """Legs, recordings and conferences by sid, oldest first; running parent legs; faults that lists of recordings still have to show.

    `outage` is asked for each request: the status with which it fails, None for an ordinary answer. `originate` starts a call of the application; the running carrier sets it.
    """

    legs: dict[str, Leg] = field(default_factory=dict)
    recordings: dict[str, CloudRecording] = field(default_factory=dict)
    conferences: dict[str, Conference] = field(default_factory=dict)
    live: dict[str, LiveCall] = field(default_factory=dict)
    list_faults: PendingFaults = field(default_factory=PendingFaults)
    outage: Callable[[], int | None] | None = None
    originate: Callable[[OutgoingCall], Leg] | None = None

    def recordings_of(self, call_sid: str) -> list[CloudRecording]:
        return [recording for recording in self.recordings.values() if recording.call_sid == call_sid]
