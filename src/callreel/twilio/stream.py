"""The protocol of one media stream, both ends, without a socket.

`StreamReceiver` is our end: it is handed each message and answers with exactly one event. It never raises on what the
peer sends: a `Violation` says what was wrong and whether to close. `StreamSender` is the carrier's end, used by the
stand-in. Neither knows clocks, gaps or roles: frames go on as they came, and `audio/timeline` places them.

Follows the carrier's "Media Streams: WebSocket messages" (reference/twilio.md, section 3.2); close codes are those of
RFC 6455, section 7.4.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from callreel.domain.call import Track
from callreel.domain.ids import LegSid, StreamSid
from callreel.twilio import media_messages
from callreel.twilio.media_messages import Dtmf, Mark, Media, Start, Stop
from callreel.twilio.media_messages import Frame as Frame

NOT_JSON: Final = 1007
OUT_OF_ORDER: Final = 1008
TOO_BIG: Final = 1009
NOT_OUR_AUDIO: Final = 1003

_KEPT_CHARS = 2000
_FACT_CHARS = 200


class StreamState(StrEnum):
    """What the receiver waits for."""

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
    """Which leg is streamed, and what the TwiML's `<Parameter>`s said. Tracks of unknown names are left out."""

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
    """A key was pressed. `track` is the carrier's word, for example `inbound_track`."""

    track: str
    digit: str


@dataclass(frozen=True, slots=True)
class Marked:
    """A mark came back."""

    name: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The stream ended in order. Nothing that follows counts."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message of a kind we do not know, kept as a fact. `body` is its first 2,000 characters."""

    name: str
    body: str


@dataclass(frozen=True, slots=True)
class Violation:
    """The peer did what the protocol forbids. `close_code` None means: note it and go on."""

    what: str
    close_code: int | None


StreamEvent = Connected | Started | Frame | Digit | Marked | Stopped | Unknown | Violation

_STREAMING = StreamState.STREAMING
_decode_frame = media_messages.decode_frame

# What is welcome in each state, and the state after it. A `start` without `connected` is let in.
_NEXT: dict[StreamState, dict[type[media_messages.Message], StreamState]] = {
    StreamState.CONNECTED_WANTED: {
        media_messages.Connected: StreamState.START_WANTED,
        Start: StreamState.STREAMING,
    },
    StreamState.START_WANTED: {
        Start: StreamState.STREAMING,
    },
    StreamState.STREAMING: {
        Media: StreamState.STREAMING,
        Dtmf: StreamState.STREAMING,
        Mark: StreamState.STREAMING,
        Stop: StreamState.STOPPED,
    },
    StreamState.STOPPED: {},
}


class StreamReceiver:
    """Our end of one socket. A `Violation` with a close code ends the stream: what comes after it is only noted.

    `max_message_bytes` bounds one message (characters, for text); a frame of 20 ms takes about 400.
    """

    def __init__(self, *, max_message_bytes: int = 65536) -> None:
        self._max_message_bytes = max_message_bytes
        self._state = StreamState.CONNECTED_WANTED

    @property
    def state(self) -> StreamState:
        return self._state

    @property
    def closed(self) -> bool:
        """Whether the stream has ended, by `stop` or by a violation that closes."""
        return self._state is StreamState.STOPPED

    def receive(self, message: str | bytes) -> StreamEvent:
        """What one message of the socket means. Never raises on what is in it."""
        if self._state is _STREAMING and len(message) <= self._max_message_bytes:
            try:  # 99 of 100 messages are audio, and all others may take their time
                return _decode_frame(message).media
            except (msgspec.MsgspecError, ValueError, RecursionError):
                pass
        return self._receive_other(message)

    def receive_audio(self, messages: Sequence[bytes]) -> list[Frame] | None:
        """What `messages` mean, one or more, if all of them are audio. None if one is not: then none has been received.

        For what one read of a socket brought: half the cost of receiving each.
        """
        if self._state is not _STREAMING or max(map(len, messages)) > self._max_message_bytes:
            return None
        try:
            return [_decode_frame(message).media for message in messages]
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None

    def _receive_other(self, message: str | bytes) -> StreamEvent:
        if len(message) > self._max_message_bytes:
            return self._refuse(f"a message is over {self._max_message_bytes} bytes", TOO_BIG)
        try:
            decoded = media_messages.decode(message)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            return self._unreadable(message, error)
        return self._control(decoded)

    def _control(self, message: media_messages.Message) -> StreamEvent:
        after = _NEXT[self._state].get(message.__class__)
        if after is None:
            return self._refuse(f"{_name(message)} while {self._state}", OUT_OF_ORDER)
        if isinstance(message, Start) and (fault := _format_fault(message.start.media_format)):
            return self._refuse(fault, NOT_OUR_AUDIO)
        self._state = after
        return _event(message)

    def _unreadable(self, message: str | bytes, error: Exception) -> StreamEvent:
        """An unknown kind is a fact, a known kind of a wrong shape is noted, and what is no JSON closes."""
        if isinstance(error, UnicodeError):
            return self._refuse("a message is not UTF-8", NOT_JSON)
        try:
            name = media_messages.decode_envelope(message).event
        except msgspec.ValidationError:
            return self._refuse("a message without the name of an event", None)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return self._refuse("a message is not JSON", NOT_JSON)
        if name in media_messages.EVENTS:
            return self._refuse(f"{name} is malformed: {error}", NOT_JSON if name == "start" else None)
        if self.closed:
            return self._refuse("a message of an unknown kind", None)
        return Unknown(name[:_KEPT_CHARS], _text(message[:_KEPT_CHARS]))

    def _refuse(self, what: str, close_code: int | None) -> Violation:
        if self.closed:
            return Violation(f"after the end: {what}"[:_FACT_CHARS], None)
        if close_code is not None:
            self._state = StreamState.STOPPED
        return Violation(what[:_FACT_CHARS], close_code)


def _frame(message: Media) -> Frame | Violation:
    body = message.media
    stamp = body.timestamp
    if len(stamp) <= media_messages.TIMESTAMP_DIGITS and stamp.isdecimal():
        return Frame(body.track, int(stamp), body.payload)
    return Violation(f"media with timestamp {stamp[:20]!r}, not a number of ms up to nine digits", None)


def _event(message: media_messages.Message) -> StreamEvent:
    match message:
        case media_messages.Connected(protocol, version):
            return Connected(protocol, version)
        case Start(start):
            return _started(start)
        case Media():
            return _frame(message)
        case Dtmf(dtmf):
            return Digit(dtmf.track, dtmf.digit)
        case Mark(mark):
            return Marked(mark.name)
        case Stop():
            return Stopped()


def _started(start: media_messages.StartBody) -> Started:
    audio = start.media_format
    return Started(
        stream_sid=StreamSid(start.stream_sid),
        leg_sid=LegSid(start.call_sid),
        account_sid=start.account_sid,
        tracks=tuple(track for track in Track if track.value in start.tracks),
        encoding=audio.encoding,
        rate_hz=audio.sample_rate,
        channels=audio.channels,
        parameters=start.custom_parameters,
    )


def _format_fault(audio: media_messages.MediaFormat) -> str | None:
    if (audio.encoding, audio.sample_rate, audio.channels) == ("audio/x-mulaw", 8000, 1):
        return None
    came = f"{audio.encoding[:40]} at {audio.sample_rate} Hz with {audio.channels} channels"
    return f"start announces {came}, expected audio/x-mulaw at 8000 Hz with 1 channel"


def _name(message: media_messages.Message) -> str:
    return message.__class__.__name__.lower()


def _text(body: str | bytes) -> str:
    return body if isinstance(body, str) else body.decode("utf-8", errors="replace")


class StreamSender:
    """The carrier's end of one socket: makes the messages and keeps their counters.

    One sequence number runs over all messages after `connected`, `start` being 1. `chunk` counts from 1 for each track;
    whether the carrier's counts per track or over both is open (reference/twilio.md, section 3.2), so nothing reads it.
    """

    def __init__(self, stream_sid: StreamSid, leg_sid: LegSid, account_sid: str) -> None:
        self._stream_sid = stream_sid
        self._leg_sid = leg_sid
        self._account_sid = account_sid
        self._sequence = 0
        self._chunks = {track: 0 for track in Track}

    def connected(self) -> str:
        return media_messages.encode(media_messages.Connected())

    def start(
        self,
        tracks: tuple[Track, ...] = (Track.INBOUND, Track.OUTBOUND),
        parameters: Mapping[str, str] | None = None,
    ) -> str:
        """`parameters` are the TwiML's `<Parameter>`s."""
        body = media_messages.StartBody(
            stream_sid=self._stream_sid,
            account_sid=self._account_sid,
            call_sid=self._leg_sid,
            tracks=[track.value for track in tracks],
            custom_parameters=dict(parameters or {}),
        )
        return media_messages.encode(Start(body, self._number(), self._stream_sid))

    def media(self, track: Track, timestamp_ms: int, payload: bytes) -> str:
        """`payload` is mu-law at 8000 Hz; 160 bytes are the usual 20 ms."""
        self._chunks[track] += 1
        body = media_messages.MediaBody(track, str(timestamp_ms), payload, str(self._chunks[track]))
        return media_messages.encode(Media(body, self._number(), self._stream_sid))

    def dtmf(self, digit: str) -> str:
        return media_messages.encode(
            Dtmf(media_messages.DtmfBody(digit, "inbound_track"), self._number(), self._stream_sid)
        )

    def mark(self, name: str) -> str:
        return media_messages.encode(Mark(media_messages.MarkBody(name), self._number(), self._stream_sid))

    def stop(self) -> str:
        body = media_messages.StopBody(self._account_sid, self._leg_sid)
        return media_messages.encode(Stop(body, self._number(), self._stream_sid))

    def _number(self) -> str:
        self._sequence += 1
        return str(self._sequence)
