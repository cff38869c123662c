"""What the stand-in carrier knows of legs and recordings: the memory behind its REST API. Gone when it stops."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from callreel.simulator.calls.cloud_recording import CloudRecording
from callreel.simulator.calls.twiml_script import StartRecording, StartStream


@dataclass(slots=True, eq=False)
class Leg:
    """One party's connection. `direction` is `inbound` for a parent, `outbound-dial` for a dialled leg."""

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
        """From answer to end, in whole seconds; 0 for a leg that nobody answered."""
        if self.answered_at is None or self.ended_at is None:
            return 0
        return round((self.ended_at - self.answered_at).total_seconds())


class LiveCall(Protocol):
    """What REST can do to a call that goes on."""

    def hang_up(self) -> None: ...

    def start_stream(self, order: StartStream) -> str:
        """Returns the new stream's sid."""
        ...

    def stop_stream(self, sid_or_name: str) -> bool:
        """False when there is no such stream."""
        ...

    def start_recording(self, order: StartRecording, source: str) -> CloudRecording: ...

    def pause_recording(self, recording: CloudRecording, *, skip: bool) -> None: ...

    def resume_recording(self, recording: CloudRecording) -> None: ...

    def stop_recording(self, recording: CloudRecording) -> None: ...


class CarrierState:
    """Legs and recordings by sid, in order of their beginning, and the parent legs that still go on."""

    def __init__(self) -> None:
        self.legs: dict[str, Leg] = {}
        self.recordings: dict[str, CloudRecording] = {}
        self.live: dict[str, LiveCall] = {}

    def recordings_of(self, call_sid: str) -> list[CloudRecording]:
        return [recording for recording in self.recordings.values() if recording.call_sid == call_sid]
