"""Calls of the simulated carrier's past, so that a history can be imported from it: legs and completed recordings."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from callreel.audio.samples import TELEPHONE_HZ, Samples
from callreel.simulator.calls.cloud_recording import CloudRecording
from callreel.simulator.state import CarrierState, Leg

RING = timedelta(seconds=4)


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call that was recorded from its beginning. `child` is the dialled leg; None if the call had one leg only.

    `samples` are those of the recording: [n] or [n, 2].
    """

    parent: Leg
    child: Leg | None
    recording_sid: str
    samples: Samples


def past_call(number: int, began_at: datetime, samples: Samples, *, incoming: bool = False) -> PastCall:
    """The call of an agent's browser to a phone, or of a phone to an agent; ids and numbers follow from `number`."""
    ended_at = began_at + timedelta(seconds=len(samples) / TELEPHONE_HZ)
    agent, phone, own = f"client:agent-{number % 3}", f"+1212555{number % 10_000:04}", "+12025550123"
    from_, to, direction = (phone, own, "inbound") if incoming else (agent, phone, "inbound")
    parent = Leg(f"CA{number:031x}0", from_, to, direction, began_at, "completed", None, began_at, ended_at)
    child = dialled_leg(parent, f"CA{number:031x}1", own, agent if incoming else phone, began_at + RING)
    return PastCall(parent, child, f"RE{number:032x}", samples)


def dialled_leg(parent: Leg, sid: str, from_: str, to: str, answered_at: datetime) -> Leg:
    """The leg that `parent` dialled."""
    return replace(
        parent, sid=sid, from_=from_, to=to, direction="outbound-dial", parent_sid=parent.sid, answered_at=answered_at,
    )  # fmt: skip


def add_past_call(state: CarrierState, call: PastCall) -> CloudRecording:
    """Add a call to the carrier's history, newest last; returns its recording."""
    for leg in (call.parent, call.child):
        if leg is not None:
            state.legs[leg.sid] = leg
    duration_ms = len(call.samples) * 1000 // TELEPHONE_HZ
    recording = CloudRecording(
        call.recording_sid, call.parent.sid, call.parent.began_at, 0, channels=call.samples.ndim, status="completed",
        end_ms=duration_ms, updated_at=call.parent.ended_at, samples=call.samples, duration_ms=duration_ms,
    )  # fmt: skip
    state.recordings[recording.sid] = recording
    return recording
