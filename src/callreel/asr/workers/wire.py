"""What the host and a worker process say to each other over their socket pair.

Each message is a MessagePack document after its length in 4 bytes, most significant first. The first one goes to the
worker and says which engine; the worker says `Ready` or `Failed` of it, and then answers each `Ask` and `Feed` in order.
"""

import struct

import msgspec

from callreel.asr.engine import Capabilities, RecognizedWord

LENGTH = struct.Struct("!I")


class Begin(msgspec.Struct, frozen=True, tag=True):
    """Load this engine."""

    name: str
    options: dict[str, str | int | float | bool]


class Ask(msgspec.Struct, frozen=True, tag=True):
    """Decode segments of 16 kHz mono int16 samples in this machine's byte order, in a language if one is named."""

    job: int
    segments: list[bytes]
    partial: bool
    language: str = ""


class Feed(msgspec.Struct, frozen=True, tag=True):
    """The next samples of an open segment, whose stream begins with the first of them. `close`: they were the last."""

    job: int
    stream: int
    samples: bytes
    close: bool
    drop: list[int]
    """Streams that nobody asks about any more, to be dropped first."""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The engine is loaded."""

    capabilities: Capabilities


class Words(msgspec.Struct, frozen=True):
    """What was heard in a segment, and the language if the engine found out."""

    words: list[RecognizedWord]
    language: str = ""


class Answer(msgspec.Struct, frozen=True, tag=True):
    """For each segment of the question, in their order."""

    job: int
    heard: list[Words]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The engine could not be loaded (job 0) or could not decode; the worker is fit for the next job."""

    job: int
    reason: str


Request = Begin | Ask | Feed
Reply = Ready | Answer | Failed

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def pack(message: Request | Reply) -> bytes:
    """The message with its length before it."""
    body = _encoder.encode(message)
    return LENGTH.pack(len(body)) + body


def request(body: bytes) -> Request:
    return _requests.decode(body)


def reply(body: bytes) -> Reply:
    return _replies.decode(body)
