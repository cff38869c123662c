"""A TwiML document as values: the verbs that a call runs, in order. Made by `twiml_reader`.

Only the verbs and nouns that Callreel's own documents and the stand-in's scenarios use. Defaults are filled in.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TwimlWarning:
    """What the carrier would put into its debugger, going on."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Callback:
    """Where progress is reported to. `events` is what was subscribed to."""

    url: str
    method: str
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StartStream:
    """`<Start><Stream>`. The URL may be relative to the document's."""

    url: str
    track: str
    name: str | None
    callback: Callback | None
    parameters: Mapping[str, str]

    @property
    def forked_tracks(self) -> int:
        return 2 if self.track == "both_tracks" else 1


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
    """A phone number to dial. `url` is a document that the callee hears before the parties are joined."""

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
class Dial:
    """Rings all targets at once and joins the first that answers. With an `action` what follows is never reached."""

    targets: tuple[DialNumber | DialClient, ...]
    caller_id: str | None
    action: str | None
    method: str
    timeout_s: int
    answer_on_bridge: bool


@dataclass(frozen=True, slots=True)
class Say:
    """Speaks `text`, `loop` times."""

    text: str
    loop: int = 1


@dataclass(frozen=True, slots=True)
class Play:
    """`digits` are keys to be pressed, out of band; `url` is then empty."""

    url: str
    loop: int = 1
    digits: str | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Waits, hearing nothing."""

    length_s: int


@dataclass(frozen=True, slots=True)
class Hangup:
    """Ends the call."""


@dataclass(frozen=True, slots=True)
class Reject:
    """`reason` is `rejected` or `busy`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Redirect:
    """Goes on with the document at `url`."""

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
    | Hangup
    | Reject
    | Redirect
)


@dataclass(frozen=True, slots=True)
class Script:
    """What a call is to do, in order, and what the carrier would warn of."""

    verbs: tuple[Verb, ...]
    warnings: tuple[TwimlWarning, ...]
