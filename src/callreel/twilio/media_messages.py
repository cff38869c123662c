"""The JSON messages of a media stream, as typed structs for both ends.

Shapes only: `stream` holds the protocol. Field names and types follow the carrier's "Media Streams: WebSocket messages"
page (reference/twilio.md, section 3.2): every counter is a string, rate and channels are numbers, a payload is base64 of
headerless mu-law (msgspec decodes it, since the field is `bytes`). Reading is tolerant, since relays and test tools write
counters as numbers or leave bodies null: unknown fields are ignored, and `Any` marks what may have any type.
"""

from typing import Annotated, Any, Final

import msgspec

from callreel.domain.call import Track

RATE_HZ: Final = 8_000
TIMESTAMP_DIGITS: Final = 9
"""11 days in milliseconds. The carrier's calls last at most one day."""


class _Body(msgspec.Struct, rename="camel", gc=False):
    """An object inside a message."""


class _Message(msgspec.Struct, rename="camel", tag_field="event", tag=str.lower, gc=False):
    """A message; its class name in lower case is the `event` on the wire."""


class MediaFormat(_Body):
    """The format of the payloads. The carrier always sends `audio/x-mulaw`, 8000 and 1."""

    encoding: str = "audio/x-mulaw"
    sample_rate: int = RATE_HZ
    channels: int = 1


class StartBody(_Body):
    """The stream's ids and format. `custom_parameters` are the `<Parameter>`s of the TwiML."""

    stream_sid: str
    account_sid: str
    call_sid: str
    tracks: Any = []
    media_format: MediaFormat | None = msgspec.field(default_factory=MediaFormat)
    custom_parameters: Any = {}


class MediaBody(_Body):
    """One payload. `timestamp` is in ms from the start of the stream, as decimal text; `chunk` counts from "1"."""

    track: Track
    timestamp: str
    payload: bytes
    chunk: Any = ""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One payload as received: mu-law bytes of any length (0 too), `timestamp_ms` from the start of the stream.

    99 of 100 messages contain one, so only the used fields are decoded: 0.4 instead of 0.9 us each (docs/performance.md).
    """

    track: Track
    timestamp_ms: Annotated[int, msgspec.Meta(ge=0, lt=10**TIMESTAMP_DIGITS)] = msgspec.field(
        name="timestamp"
    )
    payload: bytes


class _FrameMessage(msgspec.Struct, tag_field="event", tag="media", gc=False):
    media: Frame


class DtmfBody(_Body):
    """A pressed key. `track` is the name in the TwiML, for example `inbound_track`."""

    digit: Any
    track: Any = ""


class MarkBody(_Body):
    """The name of a mark that we sent, echoed by the carrier."""

    name: Any


class StopBody(_Body):
    """The account and leg of the ended stream."""

    account_sid: str = ""
    call_sid: str = ""


class Connected(_Message):
    """The first message on a socket; has neither sequence number nor stream."""

    protocol: Any = "Call"
    version: Any = "1.0.0"


class Start(_Message):
    """The second message on a socket, with sequence number 1."""

    start: StartBody
    sequence_number: Any = ""
    stream_sid: Any = ""


class Media(_Message):
    """Audio of one track."""

    media: MediaBody
    sequence_number: Any = ""
    stream_sid: Any = ""


class Dtmf(_Message):
    """A key was pressed. The carrier sends it on bidirectional streams only."""

    dtmf: DtmfBody
    sequence_number: Any = ""
    stream_sid: Any = ""


class Mark(_Message):
    """A mark was played. The carrier sends it on bidirectional streams only."""

    mark: MarkBody
    sequence_number: Any = ""
    stream_sid: Any = ""


class Stop(_Message):
    """The last message on a socket."""

    stop: Any = None
    sequence_number: Any = ""
    stream_sid: Any = ""


class Envelope(msgspec.Struct):
    """Any message, of which only the event name is decoded."""

    event: str


Control = Connected | Start | Dtmf | Mark | Stop
EVENTS = frozenset({"connected", "start", "media", "dtmf", "mark", "stop"})

_control_decoder = msgspec.json.Decoder(Control, strict=False)
_frame_decoder = msgspec.json.Decoder(_FrameMessage, strict=False)
_envelope_decoder = msgspec.json.Decoder(Envelope)
_encoder = msgspec.json.Encoder()

decode_frame = _frame_decoder.decode
"""Decodes a media message from text or bytes; its `media` is a `Frame`. The timestamp may be text or a number."""

decode_control = _control_decoder.decode
"""Decodes any other message. Both raise msgspec.ValidationError (a wrong shape) or msgspec.DecodeError (invalid JSON)."""

decode_envelope = _envelope_decoder.decode
"""Decodes only the event name of any message."""


def encode(message: Control | Media) -> str:
    """The message as text for the socket."""
    return _encoder.encode(message).decode("utf-8")
