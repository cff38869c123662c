"""Our end of one media stream's protocol, without a socket.

`StreamReceiver` returns exactly one event for each message. It never raises because of what the carrier sends: a `Violation`
says what was wrong and whether to close. Clocks, gaps and roles are handled elsewhere: `audio/jitter_buffer` places the
frames. `simulator/calls/stream_sender` is the carrier's end.

Follows the carrier's "Media Streams: WebSocket messages" (reference/twilio.md, section 3.2); close codes are those of
RFC 6455, section 7.4.1. An unreadable message never ends a stream, since the frames after it are audio that is never sent
again; only `UNREADABLE_IN_A_ROW` of them do, or a `start` that cannot be used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from callreel.domain.call import Track
from callreel.domain.ids import LegSid, StreamSid
from callreel.twilio import media_messages
from callreel.twilio.media_messages import Control, Dtmf, Mark, Start, Stop
from callreel.twilio.media_messages import Frame as Frame

NOT_OUR_AUDIO: Final = 1003
UNREADABLE: Final = 1007
MAX_MESSAGE_BYTES: Final = 1 << 20
"""The limit of one message in bytes (characters, for text). A frame of 20 ms takes about 400."""
UNREADABLE_IN_A_ROW: Final = 100
"""After this many consecutive unreadable messages the sender evidently uses another protocol."""

_KEPT_CHARS = 2000
_FACT_CHARS = 200
_BOM: Final = b"\xef\xbb\xbf"


class StreamState(StrEnum):
    """States of the receiver."""

    CONNECTED_WANTED = "waiting for connected"
    START_WANTED = "waiting for start"
    STREAMING = "streaming"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Connected:
    """The socket's first message."""

    protocol: str
    version: str


@dataclass(frozen=True, slots=True)
class Started:
    """The streamed leg and the TwiML's `<Parameter>`s. Tracks with unknown names are left out."""

    stream_sid: StreamSid
    leg_sid: LegSid
    account_sid: str
    tracks: tuple[Track, ...]
    encoding: str
    rate_hz: int
    channels: int
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Digit:
    """A key was pressed. `track` is the carrier's name, for example `inbound_track`."""

    track: str
    digit: str


@dataclass(frozen=True, slots=True)
class Marked:
    """The carrier echoed a mark."""

    name: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The stream ended normally. Later messages are ignored."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message of an unknown kind, saved as a fact. `body` is its first 2,000 characters."""

    name: str
    body: str


@dataclass(frozen=True, slots=True)
class Violation:
    """A protocol violation by the sender. `close_code` None: count it and continue the stream."""

    what: str
    close_code: int | None


StreamEvent = Connected | Started | Frame | Digit | Marked | Stopped | Unknown | Violation

_STREAMING = StreamState.STREAMING
_decode_frame = media_messages.decode_frame

# The messages that each state allows, and the next state. `start` may arrive without `connected`.
_NEXT: dict[StreamState, dict[type[Control], StreamState]] = {
    StreamState.CONNECTED_WANTED: {
        media_messages.Connected: StreamState.START_WANTED,
        Start: StreamState.STREAMING,
    },
    StreamState.START_WANTED: {
        Start: StreamState.STREAMING,
    },
    StreamState.STREAMING: {
        Dtmf: StreamState.STREAMING,
        Mark: StreamState.STREAMING,
        Stop: StreamState.STOPPED,
    },
    StreamState.STOPPED: {},
}
_FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)


class StreamReceiver:
    """Our end of one socket. After `stop`, or a `Violation` with a close code, every message is a `Violation` without."""

    def __init__(self, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max_message_bytes = max_message_bytes
        self._state = StreamState.CONNECTED_WANTED
        self._unreadable = 0
        """Consecutive unreadable messages."""

    @property
    def state(self) -> StreamState:
        return self._state

    @property
    def closed(self) -> bool:
        """Whether the stream has ended, by `stop` or by a violation that closes."""
        return self._state is StreamState.STOPPED

    def receive(self, message: str | bytes) -> StreamEvent:
        """Process one message of the socket. Never raises because of its content."""
        if self._state is _STREAMING and len(message) <= self._max_message_bytes:
            try:  # 99 of 100 messages are audio
                frame = _decode_frame(message).media
                self._unreadable = 0
                return frame
            except _FAULTS:
                pass
        return self._receive_other(message)

    def receive_audio(self, messages: Sequence[bytes]) -> list[Frame] | None:
        """Process one or more messages if all of them are audio; otherwise return None and process none of them.

        For the messages of one read from a socket: half the cost of processing each separately.
        """
        if self._state is not _STREAMING or max(map(len, messages)) > self._max_message_bytes:
            return None
        try:
            frames = [_decode_frame(message).media for message in messages]
        except _FAULTS:
            return None
        self._unreadable = 0
        return frames

    def _receive_other(self, message: str | bytes) -> StreamEvent:
        if len(message) > self._max_message_bytes:
            return self._unread(f"a message is over {self._max_message_bytes} bytes")
        marked = message.startswith(_BOM) if isinstance(message, bytes) else message.startswith("\ufeff")
        if marked:
            return self.receive(_text(message).lstrip("\ufeff"))
        try:
            decoded = media_messages.decode_control(message)
        except _FAULTS as error:
            return self._explain(message, error)
        self._unreadable = 0
        return self._control(decoded)

    def _control(self, message: Control) -> StreamEvent:
        after = _NEXT[self._state].get(message.__class__)
        if after is None:
            return self._violation(f"{message.__class__.__name__.lower()} while {self._state}")
        if isinstance(message, Start) and (fault := _format_fault(message.start.media_format)):
            return self._violation(fault, NOT_OUR_AUDIO)
        self._state = after
        return _event(message)

    def _explain(self, message: str | bytes, error: Exception) -> StreamEvent:
        """An unknown kind of message becomes a fact of the call; any other undecodable message is a violation."""
        try:
            name = media_messages.decode_envelope(message).event
        except msgspec.ValidationError:
            return self._unread("a message without the name of an event")
        except _FAULTS:
            what = "UTF-8" if isinstance(error, UnicodeError) else "JSON"
            return self._unread(f"a message is not {what}")
        if name == "media" and self._state is not _STREAMING:
            return self._violation(f"media while {self._state}")
        if name == "start" and self._state is not _STREAMING:
            return self._violation(f"start is malformed: {error}", UNREADABLE)
        if name in media_messages.EVENTS:
            return self._unread(
                f"{name} is malformed: {_fault_of_frame(message) if name == 'media' else error}"
            )
        self._unreadable = 0
        if self.closed:
            return self._violation("a message of an unknown kind")
        return Unknown(name[:_KEPT_CHARS], _text(message[:_KEPT_CHARS]))

    def _unread(self, what: str) -> Violation:
        self._unreadable += 1
        persists = self._unreadable >= UNREADABLE_IN_A_ROW
        return self._violation(what, UNREADABLE if persists else None)

    def _violation(self, what: str, close_code: int | None = None) -> Violation:
        if self.closed:
            return Violation(f"after the end: {what}"[:_FACT_CHARS], None)
        if close_code is not None:
            self._state = StreamState.STOPPED
        return Violation(what[:_FACT_CHARS], close_code)


def _fault_of_frame(message: str | bytes) -> Exception | None:
    try:
        _decode_frame(message)
    except _FAULTS as error:
        return error
    return None


def _event(message: Control) -> StreamEvent:
    match message:
        case media_messages.Connected(protocol, version):
            return Connected(_as_text(protocol), _as_text(version))
        case Start(start):
            return _started(start)
        case Dtmf(dtmf):
            return Digit(_as_text(dtmf.track), _as_text(dtmf.digit))
        case Mark(mark):
            return Marked(_as_text(mark.name))
        case Stop():
            return Stopped()


def _started(start: media_messages.StartBody) -> Started:
    audio = start.media_format or media_messages.MediaFormat()
    tracks = start.tracks if isinstance(start.tracks, list) else ()
    parameters = start.custom_parameters if isinstance(start.custom_parameters, dict) else {}
    return Started(
        stream_sid=StreamSid(start.stream_sid),
        leg_sid=LegSid(start.call_sid),
        account_sid=start.account_sid,
        tracks=tuple(track for track in Track if track.value in tracks),
        encoding=audio.encoding,
        rate_hz=audio.sample_rate,
        channels=audio.channels,
        parameters={name: _as_text(value) for name, value in parameters.items()},
    )


def _as_text(value: Any) -> str:
    """A value that should be text: a number as written, null as empty text."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode("utf-8")


def _format_fault(audio: media_messages.MediaFormat | None) -> str | None:
    if audio is None or (audio.encoding, audio.sample_rate, audio.channels) == (
        "audio/x-mulaw", media_messages.RATE_HZ, 1,
    ):  # fmt: skip
        return None
    announced = f"{audio.encoding[:40]} at {audio.sample_rate} Hz with {audio.channels} channels"
    return (
        f"start announces {announced}, expected audio/x-mulaw at {media_messages.RATE_HZ} Hz with 1 channel"
    )


def _text(body: str | bytes) -> str:
    return body if isinstance(body, str) else body.decode("utf-8", errors="replace")
