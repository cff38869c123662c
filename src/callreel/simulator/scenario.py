"""The script and the outcome of a simulated call, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from callreel.audio.samples import Samples
from callreel.domain.call import Direction, Track
from callreel.simulator.faults import Fault
from callreel.simulator.sound.ringback import Ringback
from callreel.simulator.webhook_delivery import Delivery


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CallScript:
    """A call to be placed. Voices are 8 kHz mono int16 [n]; two recorded ones begin at the answer.

    `live`: the agent is a person at a browser. Then `agent_voice` is unused, the technician's lines wait for the person's
    pauses, and the call ends when one of them hangs up. Its speed is 1.

    `keys` are the DTMF digits that the caller presses on a bidirectional stream, one per second.

    `number` is the technician's, `our_number` is called on an incoming call. `parameters` are those of the page's
    `Device.connect` except `To`. `hang_up_at_s` counts from the start of the TwiML; None: half a second after the longer
    voice. Without `answer` the other phone rings for `ring_s` unanswered.
    """

    agent_voice: Samples
    technician_voice: Samples
    direction: Direction = Direction.OUTGOING
    agent_identity: str = "agent"
    number: str = "+14155550123"
    our_number: str = "+14155550100"
    parameters: Mapping[str, str] = field(default_factory=dict)
    ring_s: float = 2.0
    answer: bool = True
    ringback: Ringback = Ringback.NORTH_AMERICA
    hang_up_at_s: float | None = None
    faults: tuple[Fault, ...] = ()
    live: bool = False
    keys: str = ""
    responses: tuple[str, ...] = ()
    """What the phone's party answers to each `<Gather>`: keys (`1`), words (`yes please`), or nothing (empty)."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Technician:
    """The party that browsers reach: a recorded voice (8 kHz mono int16 [n]; None: the included one) and its phone.
    `faults` apply to every call from a browser."""

    voice: Samples | None = None
    ring_s: float = 3.0
    answers: bool = True
    ringback: Ringback = Ringback.NORTH_AMERICA
    faults: tuple[Fault, ...] = ()
    responses: tuple[str, ...] = ()


class Stage(StrEnum):
    """Progress of a call."""

    RINGING = "ringing"
    ANSWERED = "answered"
    SPEAKING = "speaking"  # once per second of call time
    HUNG_UP = "hung-up"
    RECORDED = "recorded"  # the carrier's recording is final, whatever its status


@dataclass(frozen=True, slots=True)
class Progress:
    """`position_ms` is call time."""

    stage: Stage
    position_ms: int


@dataclass(frozen=True, slots=True)
class StreamOutcome:
    """One media stream. `start_ms`, `began_at`: the position and time of its timestamp 0. `tracks`: mu-law from timestamp 0, as
    sent without faults. `close_code`: the receiver's, None if the carrier ended the stream."""

    sid: str
    start_ms: int
    tracks: Mapping[Track, bytes]
    close_code: int | None
    error: str | None
    began_at: datetime


@dataclass(frozen=True, slots=True, eq=False)
class RecordingOutcome:
    """One recording. `samples`: [n] or [n, 2] at 8 kHz, None without a file. `start_ms` is call time."""

    sid: str
    status: str
    start_ms: int
    began_at: datetime
    samples: Samples | None


@dataclass(frozen=True, slots=True)
class Prompt:
    """Speech or a sound that one leg received, in call time. `what` is the text, or the URL of the sound."""

    leg_sid: str
    what: str
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class CallOutcome:
    """The outcome of a call. `refused`: no party was dialled, because the TwiML ended the call or was invalid.

    `warnings` are those of the carrier's debugger, code first.
    """

    call_sid: str
    child_sid: str | None
    status: str
    refused: bool
    duration_ms: int
    answered_ms: int | None
    streams: tuple[StreamOutcome, ...]
    recordings: tuple[RecordingOutcome, ...]
    deliveries: tuple[Delivery, ...]
    warnings: tuple[str, ...]
    keys: str = ""
    """DTMF digits sent by a browser."""
    prompts: tuple[Prompt, ...] = ()

    @property
    def stream_sids(self) -> tuple[str, ...]:
        return tuple(stream.sid for stream in self.streams)

    @property
    def sent(self) -> Mapping[Track, bytes]:
        """The tracks of the first stream; empty without one."""
        return self.streams[0].tracks if self.streams else {}

    @property
    def socket_close_code(self) -> int | None:
        """The code with which the receiver closed the first stream's socket, None if it did not."""
        return self.streams[0].close_code if self.streams else None

    @property
    def recording_sid(self) -> str | None:
        return self.recordings[0].sid if self.recordings else None

    @property
    def cloud(self) -> Samples | None:
        """The first recording's samples [n] or [n, 2]."""
        return self.recordings[0].samples if self.recordings else None
