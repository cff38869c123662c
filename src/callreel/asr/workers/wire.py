"""The messages between the server and a worker process over their socket pair.

Each message is a MessagePack document, prefixed with its length as a 4-byte big-endian integer. The server sends `Load`; the
worker answers `Ready` or `Failed`, and then answers each `Decode` in order.
"""

import struct

import msgspec

from callreel.asr.engine import Capabilities, RecognizedWord

LENGTH = struct.Struct("!I")


class Load(msgspec.Struct, frozen=True, tag=True):
    """Load this engine."""

    name: str
    options: dict[str, str | int | float | bool]


class Decode(msgspec.Struct, frozen=True, tag=True):
    """Decode segments of 16 kHz mono int16 samples in this machine's byte order, in a language if one is named."""

    job: int
    segments: list[bytes]
    partial: bool
    language: str = ""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The engine is loaded."""

    capabilities: Capabilities


class Words(msgspec.Struct, frozen=True):
    """The words of a segment, and the language if the engine detected it."""

    words: list[RecognizedWord]
    language: str = ""


class Decoded(msgspec.Struct, frozen=True, tag=True):
    """One result for each segment of the request, in their order."""

    job: int
    results: list[Words]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """Job 0: the engine failed to load, and the worker exits. Any other: decoding failed, and the worker takes the next job."""

    job: int
    reason: str


Request = Load | Decode
Reply = Ready | Decoded | Failed

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def pack(message: Request | Reply) -> bytes:
    """The message with its length before it."""
    body = _encoder.encode(message)
    return LENGTH.pack(len(body)) + body


def decode_request(body: bytes) -> Request:
    return _requests.decode(body)


def decode_reply(body: bytes) -> Reply:
    return _replies.decode(body)
