"""A TwiML document as values: the verbs that a call executes, in order, with defaults filled in.

Only the verbs and nouns that Callreel's documents and the simulator's scenarios use.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from callreel.domain.errors import CallreelError

MAX_FORKED_TRACKS = 4
"""Per call, over all its running streams; `both_tracks` counts as two."""


SPOKEN_MS_PER_CHARACTER = 60
PLAYED_MS = 1000
"""Nothing is synthesised or downloaded: speech and sounds are silence of about the duration that they would have."""


class StreamRefusedError(CallreelError):
    """The carrier does not start this stream on this call."""


@dataclass(frozen=True, slots=True)
class TwimlWarning:
    """A warning in the carrier's debugger; the call continues."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Callback:
    """A status callback. `events` are the subscribed ones."""

    url: str
    method: str
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StartStream:
    """`<Start><Stream>`, or `<Connect><Stream>`: then the application talks to the caller while the document waits.

    The URL may be relative to the document's.
    """

    url: str
    track: str
    name: str | None
    callback: Callback | None
    parameters: Mapping[str, str]
    connects: bool = False

    @property
    def forked_tracks(self) -> int:
        return 2 if self.track == "both_tracks" else 1

    def check_beside(self, others: Iterable["StartStream"]) -> None:
        """Raise StreamRefusedError if it cannot run beside these streams of the same call."""
        others = tuple(others)
        if self.connects and any(other.connects for other in others):
            raise StreamRefusedError("a call has at most one bidirectional stream")
        if self.name is not None and self.name in {other.name for other in others}:
            raise StreamRefusedError(f"the call already has a stream named {self.name[:40]}")
        if sum(other.forked_tracks for other in others) + self.forked_tracks > MAX_FORKED_TRACKS:
            raise StreamRefusedError(f"a call has at most {MAX_FORKED_TRACKS} forked tracks")


@dataclass(frozen=True, slots=True)
class StartRecording:
    """`<Start><Recording>`, with the carrier's defaults filled in."""

    channels: str
    track: str
    trim: str
    name: str | None
    callback: Callback | None


@dataclass(frozen=True, slots=True)
class StopStream:
    """`<Stop><Stream>`."""

    name: str


@dataclass(frozen=True, slots=True)
class StopRecording:
    """`<Stop><Recording>`."""

    name: str


@dataclass(frozen=True, slots=True)
class DialNumber:
    """A phone number to dial. `url` is a document that runs on the callee's leg before the bridge."""

    number: str
    callback: Callback | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class DialClient:
    """A browser to ring."""

    identity: str
    callback: Callback | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class DialConference:
    """A conference to join, by its name in the account. The music of `waitUrl` is silence here."""

    name: str
    starts_on_enter: bool = True
    ends_on_exit: bool = False
    muted: bool = False
    callback: Callback | None = None


@dataclass(frozen=True, slots=True)
class Dial:
    """Rings all targets and bridges the first that answers. With an `action`, the verbs after it are never executed.

    `recording` begins when the call is bridged, or with the ringing. With a `conference` nothing is rung or recorded.
    """

    targets: tuple[DialNumber | DialClient, ...]
    caller_id: str | None
    action: str | None
    method: str
    timeout_s: int
    answer_on_bridge: bool
    recording: StartRecording | None = None
    records_ringing: bool = False
    conference: DialConference | None = None


@dataclass(frozen=True, slots=True)
class Say:
    """Speaks `text`, `loop` times."""

    text: str
    loop: int = 1

    @property
    def duration_ms(self) -> int:
        return len(self.text) * self.loop * SPOKEN_MS_PER_CHARACTER


@dataclass(frozen=True, slots=True)
class Play:
    """`digits` are DTMF digits, sent out of band; `url` is then empty."""

    url: str
    loop: int = 1
    digits: str | None = None

    @property
    def duration_ms(self) -> int:
        return PLAYED_MS * self.loop


@dataclass(frozen=True, slots=True)
class Pause:
    """Waits in silence."""

    length_s: int

    @property
    def duration_ms(self) -> int:
        return self.length_s * 1000


@dataclass(frozen=True, slots=True)
class Gather:
    """Waits for keys or words after the nested verbs, and sends them to `action`.

    Without input the document continues, or the request is sent without any with `action_on_empty`. `timeout_s` counts from
    the end of the nested verbs. `num_digits` 0: any number.
    """

    action: str
    method: str
    inputs: tuple[str, ...]
    timeout_s: int
    num_digits: int
    prompts: tuple[Say | Play | Pause, ...] = ()
    action_on_empty: bool = False


@dataclass(frozen=True, slots=True)
class Hangup:
    """Ends the call."""


@dataclass(frozen=True, slots=True)
class Reject:
    """`reason` is `rejected` or `busy`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Redirect:
    """Continues with the document at `url`."""

    url: str
    method: str


Verb = (
    StartStream
    | StartRecording
    | StopStream
    | StopRecording
    | Dial
    | Say
    | Play
    | Pause
    | Gather
    | Hangup
    | Reject
    | Redirect
)


@dataclass(frozen=True, slots=True)
class Script:
    """The verbs of a document, in order, and the carrier's warnings."""

    verbs: tuple[Verb, ...]
    warnings: tuple[TwimlWarning, ...]
