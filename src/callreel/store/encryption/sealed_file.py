"""The format of an encrypted file: records that are appended and never rewritten, each encrypted by AES-256-GCM.

    header   magic, id of the data key, rate, file id, file key encrypted by the data key        92 bytes
    record   kind, length of its plaintext, nonce, ciphertext, tag                               33 bytes and the ciphertext
    end      a record with the kinds and lengths of all earlier ones, and a trailer that locates it

Each file has a key of its own, and each record a random nonce. The associated data of a record are the header, the number of
the record, its position in the plaintext, its kind and its length. So a record that is moved, repeated, left out or taken
from another file does not authenticate. The end record's position is the final length: a finished file that lacks it was
truncated. After a kill, the file ends in the middle of a record, which does not count; `continue_file` removes it.

A file with a rate is a mono 16-bit WAV file that grows: its 44-byte head follows from rate and length and is not stored.
No I/O here: files are bytes and functions that read at an offset.
"""

import os
import struct
import threading
import zlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from callreel.audio import wav
from callreel.audio.wav import ReadAt
from callreel.domain.errors import EncryptionKeyError, StoreError

MAGIC = b"CRSEAL1\n"
_IDENTITY = struct.Struct(">8sII16s")
_PREFIX = struct.Struct(">BI")
_PLACE = struct.Struct(">QQBI")
_PREFIX_AT = _PLACE.size - _PREFIX.size
"""A place ends with the bytes of a prefix."""
_TRAILER = struct.Struct(">QQI8s")
_TRAILER_MAGIC = b"CRSEALE\n"
_FILE_KEY_BYTES = 32
RECORD_BYTES = 64 * 1024
"""The plaintext of a record of a file that is written at once."""
_NONCE = 12
_TAG = 16
HEADER_BYTES = _IDENTITY.size + _NONCE + _FILE_KEY_BYTES + _TAG
_SEALED_AT = _PREFIX.size + _NONCE
_OVERHEAD = _SEALED_AT + _TAG
_NONCES_AT_ONCE = 32
"""One system call for each would be a fifth of the cost of a small record."""
_LENGTH_BITS = 30
_LONGEST = (1 << _LENGTH_BITS) - 1
_SCAN_BYTES = 1 << 20


# Kinds of records. Plain numbers, since an enumeration costs a microsecond in each append.
DATA: Final = 1
SILENCE: Final = 2
"""Zeros: the length counts them, the ciphertext is empty."""
END: Final = 3
_DATA_CODE = DATA << _LENGTH_BITS


class DamagedFileError(StoreError):
    """An encrypted file whose bytes do not authenticate: damaged, truncated or changed."""


class FileKeys(Protocol):
    """The data keys that wrap the keys of files."""

    def current_file_key(self) -> tuple[int, bytes]: ...

    def file_key(self, key_id: int) -> bytes:
        """Raises EncryptionKeyError."""
        ...


@dataclass(frozen=True, slots=True)
class Header:
    """An encrypted file's header as stored, and its opened key. `rate_hz` is 0 for a file that is not a growing WAV."""

    raw: bytes
    rate_hz: int
    file_id: str
    aead: AESGCM = field(repr=False)


def is_sealed(head: bytes) -> bool:
    """Whether a file that begins with these bytes is encrypted."""
    return head[: len(MAGIC)] == MAGIC


def new_header(keys: FileKeys, rate_hz: int = 0) -> Header:
    """The header of a new file, with a key of its own."""
    key_id, data_key = keys.current_file_key()
    file_key = AESGCM.generate_key(256)
    file_id, nonce = os.urandom(16), os.urandom(_NONCE)
    identity = _IDENTITY.pack(MAGIC, key_id, rate_hz, file_id)
    raw = identity + nonce + AESGCM(data_key).encrypt(nonce, file_key, identity)
    return Header(raw, rate_hz, file_id.hex(), AESGCM(file_key))


def read_header(raw: bytes, keys: FileKeys | None, name: str) -> Header:
    """Open the header of file `name`. Raises EncryptionKeyError, DamagedFileError."""
    if keys is None:
        raise EncryptionKeyError(f"{name} is encrypted; set CALLREEL_ENCRYPTION_KEYS to the master key")
    if len(raw) < HEADER_BYTES:
        raise DamagedFileError(f"{name} is damaged: its header is incomplete")
    raw = raw[:HEADER_BYTES]
    _, key_id, rate_hz, file_id = _IDENTITY.unpack_from(raw)
    wrapped = raw[_IDENTITY.size :]
    try:
        data_key = AESGCM(keys.file_key(key_id))
        file_key = data_key.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], raw[: _IDENTITY.size])
    except InvalidTag:
        raise DamagedFileError(f"{name} is damaged: its key does not authenticate") from None
    return Header(raw, rate_hz, file_id.hex(), AESGCM(file_key))


class RecordIndex:
    """Where the records of a file are: appended to while the file grows."""

    __slots__ = ("codes", "end", "finished", "size")

    def __init__(self) -> None:
        self.codes = array("I")
        """Kind and length of each record."""
        self.end = HEADER_BYTES
        """The size of the file."""
        self.size = 0
        """The length of the plaintext."""
        self.finished = False
        """Whether an end record that authenticates is the last one."""

    def add(self, kind: int, length: int) -> None:
        self.codes.append(kind << _LENGTH_BITS | length)
        self.end += _stored_bytes(kind, length)
        if kind != END:
            self.size += length
        self.finished = False

    def remove_last(self) -> None:
        code = self.codes.pop()
        kind, length = code >> _LENGTH_BITS, code & _LONGEST
        self.end -= _stored_bytes(kind, length)
        if kind != END:
            self.size -= length


class _Buffer(threading.local):
    """Where a thread encrypts its records, one after the other."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_OVERHEAD + RECORD_BYTES))


_buffer = _Buffer()


class Sealer:
    """Encrypts the records of one file, in order. `index` counts each; take back one that could not be written."""

    __slots__ = ("_aad", "_encrypt", "_encrypt_into", "_nonces", "header", "index")

    def __init__(self, header: Header, index: RecordIndex | None = None) -> None:
        self.header = header
        self._aad = header.raw
        self._encrypt, self._encrypt_into = header.aead.encrypt, header.aead.encrypt_into
        self._nonces: list[bytes] = []
        self.index = index or RecordIndex()

    def data(self, plain: bytes) -> bytes | memoryview:
        """The record of these bytes, until this thread makes another. The path of a live block: no calls within."""
        nonces = self._nonces
        nonce = nonces.pop() if nonces else self._nonce()
        index, length = self.index, len(plain)
        codes, size = index.codes, index.size
        place = _PLACE.pack(len(codes), size, DATA, length)
        record: bytes | memoryview
        if length <= RECORD_BYTES:
            # New bytes would be filled with zeros first, then copied, and in no cache.
            record = _buffer.view[: _OVERHEAD + length]
            record[:_SEALED_AT] = place[_PREFIX_AT:] + nonce
            self._encrypt_into(nonce, plain, self._aad + place, record[_SEALED_AT:])
        else:
            record = place[_PREFIX_AT:] + nonce + self._encrypt(nonce, plain, self._aad + place)
        codes.append(_DATA_CODE | length)
        index.size = size + length
        index.end += _OVERHEAD + length
        index.finished = False
        return record

    def silence(self, length: int) -> bytes:
        """The record of `length` zeros."""
        return self._other(SILENCE, length, b"")

    def end(self) -> bytes:
        """The end record with its trailer."""
        codes, size = self.index.codes, self.index.size
        plain = zlib.compress(np.asarray(codes, "<u4").tobytes(), 1)
        trailer = _TRAILER.pack(len(codes), size, len(plain), _TRAILER_MAGIC)
        return self._other(END, len(plain), plain) + trailer

    def _other(self, kind: int, length: int, plain: bytes) -> bytes:
        nonce = self._nonces.pop() if self._nonces else self._nonce()
        place = _PLACE.pack(len(self.index.codes), self.index.size, kind, length)
        self.index.add(kind, length)
        return place[_PREFIX_AT:] + nonce + self._encrypt(nonce, plain, self._aad + place)

    def _nonce(self) -> bytes:
        random = os.urandom(_NONCE * _NONCES_AT_ONCE)
        self._nonces = [random[at : at + _NONCE] for at in range(0, len(random), _NONCE)]
        return self._nonces.pop()


def silences(length: int) -> Iterator[int]:
    """The lengths of the silence records for `length` zeros."""
    while length > 0:
        yield min(length, _LONGEST)
        length -= _LONGEST


def read_index(read_at: ReadAt, size_bytes: int, header: Header, name: str) -> RecordIndex:
    """The records of a file of `size_bytes`: from its end record, or by a scan of a file that is not finished.

    Raises DamagedFileError if the end record does not authenticate.
    """
    index = RecordIndex()
    trailer = (
        read_at(size_bytes - _TRAILER.size, _TRAILER.size) if size_bytes >= _smallest_finished() else b""
    )
    if trailer.endswith(_TRAILER_MAGIC):
        number, position, length, _ = _TRAILER.unpack(trailer)
        start = size_bytes - _stored_bytes(END, length)
        if start < HEADER_BYTES:
            raise DamagedFileError(f"{name} is damaged: its end record is misplaced")
        record = read_at(start, size_bytes - _TRAILER.size - start)
        plain = _open(header, record, (number, position, END, length), name)
        codes = np.frombuffer(zlib.decompress(plain), "<u4")
        index.codes.frombytes(codes.astype(np.uintc).tobytes())
        index.end, index.size = start, position
        index.add(END, length)
        index.finished = True
        return index
    _scan(read_at, size_bytes, index)
    return index


def continue_index(read_at: ReadAt, size_bytes: int, header: Header, name: str) -> RecordIndex:
    """The records of a file whose writer died: without those at its end that do not authenticate.

    A kill leaves an incomplete record, a power cut records that were never written out.
    """
    index = read_index(read_at, size_bytes, header, name)
    while index.codes and not index.finished:
        number, code = len(index.codes) - 1, index.codes[-1]
        kind, length = code >> _LENGTH_BITS, code & _LONGEST
        stored = _stored_bytes(kind, length)
        try:
            _open(
                header, read_at(index.end - stored, stored), (number, index.size - length, kind, length), name
            )
            break
        except DamagedFileError:
            index.remove_last()
    return index


def _scan(read_at: ReadAt, size_bytes: int, index: RecordIndex) -> None:
    block, base = b"", 0
    while index.end + _OVERHEAD <= size_bytes:
        if not base <= index.end <= base + len(block) - _PREFIX.size:
            block, base = read_at(index.end, _SCAN_BYTES), index.end
            if len(block) < _PREFIX.size:
                return
        kind, length = _PREFIX.unpack_from(block, index.end - base)
        if kind not in (DATA, SILENCE, END) or length > _LONGEST:
            return
        if index.end + _stored_bytes(kind, length) > size_bytes:
            return
        index.add(kind, length)


class Records:
    """Reads plaintext of one file by position. `blocks(start, stop)` gives stored bytes, in pieces of any length."""

    def __init__(self, header: Header, index: RecordIndex, name: str) -> None:
        self._header = header
        self._name = name
        codes = np.asarray(index.codes, np.int64)
        kinds, lengths = codes >> _LENGTH_BITS, codes & _LONGEST
        stored = np.where(kinds == SILENCE, 0, lengths) + _OVERHEAD
        stored += np.where(kinds == END, _TRAILER.size, 0)
        self._kinds, self._lengths = kinds, lengths
        self._starts = _running(stored) + HEADER_BYTES
        self._positions = _running(np.where(kinds == END, 0, lengths))
        self.data_bytes = index.size
        self.head = wav.header(index.size, header.rate_hz) if header.rate_hz else b""
        self.size_bytes = len(self.head) + index.size

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """The first record that holds plaintext of `start` to `stop`, positions within the data, and the one after the last."""
        first = int(np.searchsorted(self._positions, start, "right")) - 1
        after = int(np.searchsorted(self._positions, stop, "left"))
        return first, min(after, len(self._kinds))

    def stored_range(self, first: int, after: int) -> tuple[int, int]:
        """Where these records lie in the file."""
        return int(self._starts[first]), int(self._starts[after])

    def plain(self, first: int, after: int, blocks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        """(position, plaintext) of records `first` up to but not including `after`, from their stored bytes.

        Raises DamagedFileError.
        """
        rest = b""
        number = first
        for block in blocks:
            rest = rest + block if rest else block
            at = 0
            while number < after:
                stored = int(self._starts[number + 1] - self._starts[number])
                if len(rest) - at < stored:
                    break
                yield from self._record(number, rest[at : at + stored])
                at += stored
                number += 1
            rest = rest[at:]
        if number < after:
            raise DamagedFileError(f"{self._name} is damaged: it ends in the middle of a record")

    def _record(self, number: int, stored: bytes) -> Iterator[tuple[int, bytes]]:
        kind, length, position = (
            int(self._kinds[number]),
            int(self._lengths[number]),
            int(self._positions[number]),
        )
        if kind == END:
            return
        plain = _open(self._header, stored, (number, position, kind, length), self._name)
        if kind == DATA:
            yield position, plain
            return
        for at in range(0, length, _SCAN_BYTES):
            yield position + at, bytes(min(_SCAN_BYTES, length - at))


def _open(header: Header, record: bytes, place: tuple[int, int, int, int], name: str) -> bytes:
    nonce = record[_PREFIX.size : _PREFIX.size + _NONCE]
    sealed = record[_PREFIX.size + _NONCE :]
    if place[2] == END and len(sealed) > place[3] + _TAG:
        sealed = sealed[: -_TRAILER.size]
    try:
        if record[: _PREFIX.size] != _PREFIX.pack(place[2], place[3]):
            raise InvalidTag
        return header.aead.decrypt(nonce, sealed, header.raw + _PLACE.pack(*place))
    except (InvalidTag, ValueError):
        raise DamagedFileError(
            f"{name} is damaged: record {place[0]} does not authenticate (changed, or of another file)"
        ) from None


def _stored_bytes(kind: int, length: int) -> int:
    plain = 0 if kind == SILENCE else length
    return _OVERHEAD + plain + (_TRAILER.size if kind == END else 0)


def _smallest_finished() -> int:
    return HEADER_BYTES + _stored_bytes(END, 0)


def _running(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where each of these begins, and where the last one ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
