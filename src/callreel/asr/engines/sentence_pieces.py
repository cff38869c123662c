"""The pieces of words that a model was trained on, read out of its `bpe.model`.

That file is one message of Protocol Buffers by SentencePiece (sentencepiece_model.proto): field 1, repeated, is a piece
with its text in field 1 and its score in field 2. Nothing else of it is read, so no library is needed.
"""

import struct
from collections.abc import Iterator

_LENGTH = 2
_SKIP = {1: 8, 5: 4}
"""Wire types of fixed length: bytes."""


def vocabulary(model: bytes) -> str:
    """A line for each piece: its text, a tab, its score. Raises ValueError for anything but such a file."""
    lines = []
    for number, value in _fields(model):
        if number == 1 and isinstance(value, bytes):
            piece = dict(_fields(value))
            spelled, score = piece.get(1), piece.get(2, b"\0\0\0\0")
            if not isinstance(spelled, bytes) or not isinstance(score, bytes):
                raise ValueError("expected a piece of a word with its score")
            lines.append(f"{spelled.decode('utf-8')}\t{struct.unpack('<f', score)[0]:g}\n")
    if not lines:
        raise ValueError("expected pieces of words, found none")
    return "".join(lines)


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        size = _SKIP.get(kind, 0)
        if kind == _LENGTH:
            size, at = _varint(message, at)
        elif not size:
            raise ValueError("expected a model of SentencePiece")
        if at + size > len(message):
            raise ValueError("expected a model of SentencePiece, its end is missing")
        yield number, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("expected a model of SentencePiece")
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
