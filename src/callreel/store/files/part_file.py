"""A download that grows in the data folder and is resumed after an interruption, encrypted if there are keys."""

import fcntl
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from callreel.store.encryption.sealed_file import FileKeys
from callreel.store.files.stored_file import (
    BLOCK_BYTES,
    FileWriter,
    SealedAppender,
    is_sealed,
    open_stored,
)


class PartFile:
    """For one thread at a time. Methods raise OSError, EncryptionKeyError, DamagedFileError."""

    def __init__(self, path: Path, keys: FileKeys | None = None) -> None:
        self.path = path
        self._keys = keys

    @property
    def size_bytes(self) -> int:
        """What has been received so far; 0 without a file."""
        if not self.path.exists():
            return 0
        if self._keys is not None and not is_sealed(self.path):
            self.clear()  # begun before encryption was switched on
            return 0
        if self._keys is None:
            return self.path.stat().st_size
        with self.path.open("r+b", buffering=0) as file:
            return self._appender(file.fileno()).data_bytes

    def append(self, chunks: Iterable[bytes]) -> None:
        """Write each chunk as it comes. Larger pieces would be lost when the connection breaks."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("r+b" if self.path.exists() else "w+b", buffering=0) as file:
            if self._keys is None:
                file.seek(0, os.SEEK_END)
                for chunk in chunks:
                    file.write(chunk)
                return
            appender = self._appender(file.fileno())
            for chunk in chunks:
                appender.append(chunk)

    def finish(self) -> None:
        """Mark an encrypted file as complete."""
        if self._keys is not None:
            with self.path.open("r+b", buffering=0) as file:
                self._appender(file.fileno()).finish()

    def overwrite(self, stretches: Sequence[tuple[int, int]], value: bytes) -> None:
        """Replace the bytes from `start` up to but not including `stop` of each stretch by `value`, a single byte.

        An encrypted file is written again beside the old one, which it then replaces.
        """
        if not stretches:
            return
        if self._keys is None:
            with self.path.open("r+b") as file:
                for start, stop in stretches:
                    file.seek(start)
                    for at in range(start, stop, BLOCK_BYTES):
                        file.write(value * min(BLOCK_BYTES, stop - at))
            return
        fd, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.", suffix=".part")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)  # as `blobs.py` locks the files that it may not delete as stale
            writer = FileWriter(fd, self._keys)
            with self.open() as file:
                while block := file.read(BLOCK_BYTES):
                    writer.write(_overwritten(block, writer.size_bytes, stretches, value))
            writer.finish()
            os.replace(name, self.path)
        finally:
            os.close(fd)
            Path(name).unlink(missing_ok=True)

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)

    def open(self) -> BinaryIO:
        """What has been received, seekable; close it."""
        return open_stored(self.path, self._keys, complete=False)

    def _appender(self, fd: int) -> SealedAppender:
        assert self._keys is not None
        if os.fstat(fd).st_size == 0:
            return SealedAppender.begin(fd, self._keys)
        return SealedAppender.resume(fd, self._keys, self.path.name)[0]


def _overwritten(block: bytes, at: int, stretches: Sequence[tuple[int, int]], value: bytes) -> bytes:
    """`block`, which lies at `at` of its file, with the part of each stretch that lies in it replaced."""
    changed = bytearray(block)
    for start, stop in stretches:
        first, last = max(start - at, 0), min(stop - at, len(block))
        if first < last:
            changed[first:last] = value * (last - first)
    return bytes(changed)
