"""Files as they are stored: plain, or encrypted when there are keys. Every read and write of stored audio goes through here.

Readers find out by a file's first bytes whether it is encrypted, so plain files stay readable after encryption is switched
on. The format is in `store/encryption/sealed_file.py`.
"""

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from callreel.store.encryption import sealed_file
from callreel.store.encryption.sealed_file import (
    HEADER_BYTES,
    RECORD_BYTES,
    DamagedFileError,
    FileKeys,
    Records,
    Sealer,
)
from callreel.store.files.durable_files import write_at
from callreel.store.files.positioned_file import PositionedFile

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK_BYTES = 1 << 20
_BUFFER_BYTES = 2 * RECORD_BYTES


class StoredBytes(Protocol):
    """The bytes of a file as stored, on a disk or in an object store."""

    size_bytes: int

    def read_at(self, at: int, count: int) -> bytes: ...

    def blocks(self, start: int, stop: int) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class LocalBytes:
    """A local file, at the size it has now. Owns `file`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size_bytes = os.fstat(file.fileno()).st_size

    def read_at(self, at: int, count: int) -> bytes:
        return os.pread(self._file.fileno(), min(count, self.size_bytes - at), at)

    def blocks(self, start: int, stop: int) -> Iterator[bytes]:
        for at in range(start, stop, BLOCK_BYTES):
            yield self.read_at(at, min(BLOCK_BYTES, stop - at))

    def close(self) -> None:
        self._file.close()


class SealedReader(PositionedFile):
    """The plaintext of an encrypted file, seekable. Owns `stored`. Each read takes one of `stored`: put it behind a buffer.

    Raises EncryptionKeyError, and DamagedFileError for bytes that do not authenticate; with `complete` also for a file
    that is not finished, as one that was truncated.
    """

    def __init__(self, stored: StoredBytes, keys: FileKeys | None, name: str, *, complete: bool) -> None:
        self._stored = stored
        try:
            header = sealed_file.read_header(stored.read_at(0, HEADER_BYTES), keys, name)
            index = sealed_file.read_index(stored.read_at, stored.size_bytes, header, name)
            if complete and not index.finished:
                raise DamagedFileError(f"{name} is damaged: its end is missing")
        except BaseException:
            stored.close()
            raise
        self.file_id = header.file_id
        self._records = Records(header, index, name)
        super().__init__(self._records.size_bytes)

    def stream(self, start: int, stop: int) -> Iterator[bytes]:
        """Bytes `start` up to but not including `stop`, in pieces."""
        head = self._records.head
        if start < min(stop, len(head)):
            yield head[start:stop]
        first, last = max(start - len(head), 0), min(stop, self.size_bytes) - len(head)
        if first >= last:
            return
        span = self._records.span(first, last)
        blocks = self._stored.blocks(*self._records.stored_range(*span))
        for position, plain in self._records.plain(*span, blocks):
            if piece := plain[max(0, first - position) : max(0, last - position)]:
                yield piece

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        target = memoryview(buffer).cast("B")
        filled = 0
        try:
            for piece in self.stream(self._at, self._at + len(target)):
                target[filled : filled + len(piece)] = piece
                filled += len(piece)
        except DamagedFileError:
            if not filled:
                raise  # else the next read does, so that a buffer's look ahead hides nothing that can be read
        self._at += filled
        return filled

    def close(self) -> None:
        if not self.closed:
            self._stored.close()
        super().close()


def buffered(reader: SealedReader, buffer_bytes: int = _BUFFER_BYTES) -> BinaryIO:
    return io.BufferedReader(reader, buffer_bytes)


def open_stored(path: Path, keys: FileKeys | None, *, complete: bool = True) -> BinaryIO:
    """A local file's plaintext, seekable; close it. `complete`: refuse an encrypted file that is not finished.

    Raises OSError, EncryptionKeyError, DamagedFileError.
    """
    file = path.open("rb")
    if not sealed_file.is_sealed(file.peek(HEADER_BYTES)):
        return file
    return buffered(SealedReader(LocalBytes(file), keys, path.name, complete=complete))


def is_sealed(path: Path) -> bool:
    """Whether a local file is encrypted. Raises OSError."""
    with path.open("rb") as file:
        return sealed_file.is_sealed(file.read(HEADER_BYTES))


def file_id(path: Path, keys: FileKeys | None) -> str | None:
    """The id of an encrypted file; None for a plain one. Errors as of `open_stored`."""
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    return sealed_file.read_header(head, keys, path.name).file_id if sealed_file.is_sealed(head) else None


def stored_size(path: Path, keys: FileKeys | None) -> int:
    """The length of a local file's plaintext, also while it grows. Errors as of `open_stored`."""
    with open_stored(path, keys, complete=False) as file:
        return file.seek(0, os.SEEK_END)


def stored_digest(path: Path, keys: FileKeys | None) -> str:
    """The SHA-256 of a local file's plaintext, in hex. Errors as of `open_stored`."""
    with open_stored(path, keys) as file:
        return digest_of(file)


def digest_of(file: BinaryIO) -> str:
    """The SHA-256 of all bytes of an open file, in hex."""
    digest = hashlib.sha256()
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


class SealedAppender:
    """Appends records to an open file, behind those in `sealer.index`. A failed append leaves the file as it was.

    Methods raise OSError.
    """

    __slots__ = ("_fd", "_sealer")

    def __init__(self, fd: int, sealer: Sealer) -> None:
        self._fd = fd
        self._sealer = sealer

    @classmethod
    def begin(cls, fd: int, keys: FileKeys) -> "SealedAppender":
        """Write the header of a new file."""
        header = sealed_file.new_header(keys)
        write_at(fd, header.raw, 0)
        return cls(fd, Sealer(header))

    @classmethod
    def resume(cls, fd: int, keys: FileKeys | None, name: str) -> tuple["SealedAppender", bool]:
        """Continue a file, also one whose writer died: what does not authenticate at its end is cut off.

        Returns whether something was. Raises EncryptionKeyError, DamagedFileError.
        """
        size = os.fstat(fd).st_size
        header = sealed_file.read_header(os.pread(fd, HEADER_BYTES, 0), keys, name)
        index = sealed_file.continue_index(lambda at, count: os.pread(fd, count, at), size, header, name)
        if index.end != size:
            os.ftruncate(fd, index.end)
        return cls(fd, Sealer(header, index)), index.end != size

    @property
    def rate_hz(self) -> int:
        return self._sealer.header.rate_hz

    @property
    def data_bytes(self) -> int:
        """The length of the plaintext."""
        return self._sealer.index.size

    @property
    def finished(self) -> bool:
        return self._sealer.index.finished

    def append(self, plain: bytes) -> None:
        """The path of a live block: one call for the record, one to write it."""
        if not plain:
            return
        sealer = self._sealer
        end = sealer.index.end
        record = sealer.data(plain)
        try:
            written = os.pwrite(self._fd, record, end)
            if written != len(record):
                write_at(self._fd, record[written:], end + written)
        except OSError:
            self._take_back()
            raise

    def append_silence(self, length: int) -> None:
        for part in sealed_file.silences(length):
            self._write(self._sealer.silence(part))

    def finish(self) -> None:
        """Append the end record, unless the file ends with one."""
        if not self.finished:
            self._write(self._sealer.end())
            self._sealer.index.finished = True

    def _write(self, record: bytes) -> None:
        try:
            write_at(self._fd, record, self._sealer.index.end - len(record))
        except OSError:
            self._take_back()
            raise

    def _take_back(self) -> None:
        """The next record may be shorter, and readers must not find the rest of this one behind it."""
        index = self._sealer.index
        index.remove_last()
        os.ftruncate(self._fd, index.end)


class FileWriter:
    """Writes a new file through `fd` from its beginning, encrypted if there are keys. Methods raise OSError."""

    __slots__ = ("_appender", "_digest", "_fd", "_pending", "size_bytes")

    def __init__(self, fd: int, keys: FileKeys | None) -> None:
        self._fd = fd
        self._appender = SealedAppender.begin(fd, keys) if keys else None
        self._pending = bytearray()
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        """Of the plaintext."""

    @property
    def sha256(self) -> str:
        """Of the plaintext, in hex."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        self._digest.update(data)
        if self._appender is None:
            write_at(self._fd, data, self.size_bytes)
        else:
            self._pending += data
            while len(self._pending) >= RECORD_BYTES:
                self._appender.append(bytes(self._pending[:RECORD_BYTES]))
                del self._pending[:RECORD_BYTES]
        self.size_bytes += len(data)

    def finish(self) -> None:
        """Write what is left. Does not sync."""
        if self._appender is not None:
            self._appender.append(bytes(self._pending))
            self._appender.finish()
            self._pending.clear()
