"""An append-only mono 16-bit WAV file that is playable at any instant, also after a kill.

Samples are written before the head that counts them, so the head never promises what is not there. The head is
`audio/wav.header`; a process that dies in between leaves a head that is a block behind, or as much as it was allowed to
be, which `repair` puts right. Not a buffer: each `append` reaches the operating system before it returns (`sync` makes it outlive a power cut).

An open file is locked, so that a second process repairs what the dead left and never what the living write.
"""

import errno
import fcntl
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from callreel.audio import wav
from callreel.domain.errors import AudioFileError, StoreError
from callreel.store.files.durable_files import make_folder, sync_folder, write_at

_SAMPLE_BYTES = 2
_LITTLE_ENDIAN = np.dtype("<i2")


class StillGrowingError(StoreError):
    """The file is open for appending elsewhere, so nobody else may touch it."""


@dataclass(frozen=True, slots=True)
class RepairedWav:
    """A file after `repair`. `changed` says whether its head or its length was wrong."""

    samples: int
    size_bytes: int
    rate_hz: int
    changed: bool

    @property
    def duration_ms(self) -> int:
        return self.samples * 1000 // self.rate_hz


class GrowingWav:
    """One open file. One thread at a time may use it; `close` it, or use it in a `with`."""

    __slots__ = (
        "_counted",
        "_fd",
        "_head_lag",
        "_name_is_safe",
        "path",
        "rate_hz",
        "samples",
    )

    def __init__(self, path: Path, fd: int, rate_hz: int, samples: int, head_lag_ms: int) -> None:
        self.path = path
        self.rate_hz = rate_hz
        self.samples = samples
        self._fd = fd
        self._head_lag = head_lag_ms * rate_hz // 1000
        self._counted = samples
        """What the head says."""
        self._name_is_safe = False

    @classmethod
    def open(cls, path: Path, rate_hz: int, *, head_lag_ms: int = 0) -> "GrowingWav":
        """Make the file (its folder too, readable by us alone), or go on with one that is there.

        `head_lag_ms`: the head is written again when it would be so far behind; by default with each block.
        Raises StillGrowingError if it is open elsewhere, StoreError if it cannot be made, AudioFileError if what is there
        is not a mono 16-bit WAV of `rate_hz`.
        """
        try:
            make_folder(path.parent)
            _create(path, rate_hz)
            fd = _open_locked(path)
        except OSError as error:
            raise StoreError(f"the layer file {path} cannot be opened: {error.strerror}") from error
        try:
            found = _put_right(path, fd)
            if found.rate_hz != rate_hz:
                raise AudioFileError(f"expected {rate_hz} Hz in {path.name}, found {found.rate_hz} Hz")
        except BaseException:
            os.close(fd)
            raise
        return cls(path, fd, rate_hz, found.samples, head_lag_ms)

    @property
    def duration_ms(self) -> int:
        return self.samples * 1000 // self.rate_hz

    @property
    def size_bytes(self) -> int:
        return wav.HEADER_BYTES + self.samples * _SAMPLE_BYTES

    def append(self, samples: npt.NDArray[np.int16]) -> None:
        """Write `samples` (int16, shape [n]) and then the head.

        Raises StoreError, for instance when the disk is full; the file then still ends before these samples, which
        can be given again.
        """
        if samples.dtype != _LITTLE_ENDIAN or samples.ndim != 1:
            raise ValueError(f"expected int16 of shape [n], got {samples.dtype} of shape {samples.shape}")
        end = self.samples + samples.size
        try:
            write_at(self._fd, samples.tobytes(), self.size_bytes)
            if end - self._counted >= self._head_lag:
                self._count(end)
        except OSError as error:
            raise StoreError(f"the layer file {self.path.name} cannot grow: {error.strerror}") from error
        self.samples = end

    def pad_to(self, samples: int) -> None:
        """Append silence until there are `samples`; nothing if there are as many. The zeros take no room on the disk."""
        if samples <= self.samples:
            return
        try:
            os.ftruncate(self._fd, self.size_bytes)  # what a failed append may have left is not silence
            os.ftruncate(self._fd, wav.HEADER_BYTES + samples * _SAMPLE_BYTES)
            self._count(samples)
        except OSError as error:
            raise StoreError(f"the layer file {self.path.name} cannot grow: {error.strerror}") from error
        self.samples = samples

    def sync(self) -> None:
        """Make what was appended outlive a power cut. Takes as long as the disk does."""
        os.fdatasync(self._fd)
        if not self._name_is_safe:
            sync_folder(self.path.parent)
            self._name_is_safe = True

    def close(self, *, sync: bool = True) -> None:
        """Sync, unlock and close. Closing twice is no matter.

        Without `sync` it does not wait for the disk; then `files.sync_file` and `sync_folder` are the caller's to do.
        """
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        try:
            os.ftruncate(fd, self.size_bytes)
            if self._counted != self.samples:
                write_at(fd, wav.header(self.samples * _SAMPLE_BYTES, self.rate_hz), 0)
            if sync:
                os.fsync(fd)
                sync_folder(self.path.parent)
        except OSError as error:
            raise StoreError(f"the layer file {self.path.name} cannot be closed: {error.strerror}") from error
        finally:
            os.close(fd)

    def __enter__(self) -> "GrowingWav":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _count(self, samples: int) -> None:
        write_at(self._fd, wav.header(samples * _SAMPLE_BYTES, self.rate_hz), 0)
        self._counted = samples


def repair(path: Path) -> RepairedWav:
    """Give a file whose writer died the right length: all whole samples count, half a sample is cut off.

    Raises StillGrowingError if its writer lives, StoreError if it cannot be opened, AudioFileError if it is not ours.
    """
    try:
        fd = _open_locked(path)
    except OSError as error:
        raise StoreError(f"the layer file {path} cannot be repaired: {error.strerror}") from error
    try:
        found = _put_right(path, fd)
        if found.changed:
            os.fsync(fd)
        return found
    finally:
        os.close(fd)


def _create(path: Path, rate_hz: int) -> None:
    """Make the file with its head in one step, so that no instant has it without; nothing if it is there."""
    if path.exists():
        return
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        write_at(fd, wav.header(0, rate_hz), 0)
        os.link(name, path)
    except FileExistsError:
        pass  # another process was quicker; the lock decides
    finally:
        os.close(fd)
        os.unlink(name)


def _open_locked(path: Path) -> int:
    fd = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise StillGrowingError(
                f"the layer file {path.name} is still written by another process"
            ) from None
        raise
    return fd


def _put_right(path: Path, fd: int) -> RepairedWav:
    size_bytes = os.fstat(fd).st_size
    head = os.pread(fd, wav.HEADER_BYTES, 0)
    info = wav.parse(head)
    if (info.channels, info.bits, info.format, info.data_offset) != (1, 16, wav.PCM, wav.HEADER_BYTES):
        raise AudioFileError(f"expected a mono 16-bit WAV written by us in {path.name}, found another kind")
    data_bytes = wav.repaired_length(size_bytes)
    right_size = wav.HEADER_BYTES + data_bytes
    right_head = wav.header(data_bytes, info.rate_hz)
    if size_bytes != right_size:
        os.ftruncate(fd, right_size)
    if head != right_head:
        write_at(fd, right_head, 0)
    changed = size_bytes != right_size or head != right_head
    return RepairedWav(data_bytes // _SAMPLE_BYTES, right_size, info.rate_hz, changed)
