"""An append-only mono 16-bit WAV file that is playable at any instant, also after its process was killed.

Samples are written before the header that counts them, so the header never counts missing samples. A process that dies in
between leaves a header that is behind, at most by the allowed lag, and `repair` corrects it. There is no buffer: each
`append` reaches the operating system before it returns, and `sync` makes it survive a power cut.

With keys a new file is encrypted: each `append` is one record, and the header is not stored (`store/encryption/sealed_file.py`).
An existing file continues as it is.

An open file is locked, so that a second process repairs only the files of dead processes.
"""

import errno
import fcntl
import logging
import os
import tempfile
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from callreel.audio import wav
from callreel.domain.errors import AudioFileError, StoreError
from callreel.store.encryption.sealed_file import HEADER_BYTES, FileKeys, is_sealed, new_header
from callreel.store.files.durable_files import make_folder, sync_folder, write_at
from callreel.store.files.stored_file import SealedAppender

log = logging.getLogger(__name__)

MAX_BACKLOG_S = 120.0
_SAMPLE_BYTES = 2
_LITTLE_ENDIAN = np.dtype("<i2")


class StillGrowingError(StoreError):
    """Another process has the file open for appending."""


@dataclass(frozen=True, slots=True)
class RepairedWav:
    """A file after `repair`. `changed` says whether its header or its length was wrong."""

    samples: int
    size_bytes: int
    rate_hz: int
    changed: bool

    @property
    def duration_ms(self) -> int:
        return self.samples * 1000 // self.rate_hz


class GrowingWav:
    """One open file, for one thread at a time. Close it, or use it as a context manager."""

    __slots__ = (
        "_counted",
        "_fd",
        "_header_lag",
        "_name_synced",
        "_sealed",
        "path",
        "rate_hz",
        "samples",
    )

    def __init__(
        self,
        path: Path,
        fd: int,
        rate_hz: int,
        samples: int,
        header_lag_ms: int,
        sealed: SealedAppender | None,
    ) -> None:
        self.path = path
        self.rate_hz = rate_hz
        self.samples = samples
        self._fd = fd
        self._header_lag = header_lag_ms * rate_hz // 1000
        self._counted = samples
        """The number of samples in the header."""
        self._name_synced = False
        self._sealed = sealed

    @classmethod
    def open(
        cls, path: Path, rate_hz: int, *, header_lag_ms: int = 0, keys: FileKeys | None = None
    ) -> "GrowingWav":
        """Create the file and its folder, both readable by this user only, or continue an existing file.

        The header is rewritten once it is `header_lag_ms` behind; by default with each block. Raises StillGrowingError
        if the file is open elsewhere, StoreError if it cannot be created, AudioFileError if the existing file is not a
        mono 16-bit WAV of `rate_hz`, EncryptionKeyError if it cannot be decrypted.
        """
        try:
            make_folder(path.parent)
            _create(path, rate_hz, keys)
            fd = _open_locked(path)
        except OSError as error:
            raise StoreError(f"the layer file {path} cannot be opened: {error.strerror}") from error
        try:
            found, sealed = _correct(path, fd, keys)
            if found.rate_hz != rate_hz:
                raise AudioFileError(f"expected {rate_hz} Hz in {path.name}, found {found.rate_hz} Hz")
        except BaseException:
            os.close(fd)
            raise
        return cls(path, fd, rate_hz, found.samples, header_lag_ms, sealed)

    @property
    def duration_ms(self) -> int:
        return self.samples * 1000 // self.rate_hz

    @property
    def size_bytes(self) -> int:
        return wav.HEADER_BYTES + self.samples * _SAMPLE_BYTES

    def append(self, samples: npt.NDArray[np.int16]) -> None:
        """Write `samples` (int16, shape [n]) and then the header.

        Raises StoreError, for instance when the disk is full. The file then still ends before these samples, so the
        caller may append them again.
        """
        if samples.dtype != _LITTLE_ENDIAN or samples.ndim != 1:
            raise ValueError(f"expected int16 of shape [n], got {samples.dtype} of shape {samples.shape}")
        end = self.samples + samples.size
        try:
            if self._sealed is not None:
                self._sealed.append(samples.tobytes())
            else:
                write_at(self._fd, samples.tobytes(), self.size_bytes)
                if end - self._counted >= self._header_lag:
                    self._count(end)
        except OSError as error:
            raise StoreError(f"the layer file {self.path.name} cannot grow: {error.strerror}") from error
        self.samples = end

    def pad_to(self, samples: int) -> None:
        """Append silence up to `samples`. The zeros are a hole in the file and take no disk space."""
        if samples <= self.samples:
            return
        try:
            if self._sealed is not None:
                self._sealed.append_silence(samples * _SAMPLE_BYTES - self._sealed.data_bytes)
            else:
                os.ftruncate(self._fd, self.size_bytes)  # a failed append may have left samples
                os.ftruncate(self._fd, wav.HEADER_BYTES + samples * _SAMPLE_BYTES)
                self._count(samples)
        except OSError as error:
            raise StoreError(f"the layer file {self.path.name} cannot grow: {error.strerror}") from error
        self.samples = samples

    def sync(self) -> None:
        """Make all appended samples survive a power cut. Blocks for as long as the disk needs."""
        os.fdatasync(self._fd)
        if not self._name_synced:
            sync_folder(self.path.parent)
            self._name_synced = True

    def close(self, *, sync: bool = True) -> None:
        """Sync, unlock and close. Closing again does nothing.

        Without `sync` it does not wait for the disk, and the caller must call `sync_file` and `sync_folder`.
        """
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        try:
            if self._sealed is not None:
                self._sealed.finish()
            else:
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

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _count(self, samples: int) -> None:
        write_at(self._fd, wav.header(samples * _SAMPLE_BYTES, self.rate_hz), 0)
        self._counted = samples


class RetryingWav:
    """A `GrowingWav` that survives a failing disk: samples that could not be written wait in memory and go first later.

    Live audio cannot wait until somebody frees disk space. The backlog is bounded by `max_backlog_s`; audio beyond it counts
    as lost and becomes silence, so that later audio keeps its position. No method raises when the disk fails: `error` says
    so. For one thread at a time.
    """

    __slots__ = (
        "_file",
        "_pending_silence",
        "_max_backlog",
        "_backlog",
        "_backlog_samples",
        "lost_samples",
        "error",
    )

    def __init__(self, file: GrowingWav, *, max_backlog_s: float = MAX_BACKLOG_S) -> None:
        self._file = file
        self._max_backlog = round(max_backlog_s * file.rate_hz)
        self._backlog: deque[npt.NDArray[np.int16]] = deque()
        self._backlog_samples = 0
        self._pending_silence = 0
        self.lost_samples = 0
        """Samples that became silence because the backlog was full."""
        self.error: str | None = None
        """The current error of the disk, None while it works."""

    @property
    def samples(self) -> int:
        """Of the file once the backlog is written."""
        return self._file.samples + self._backlog_samples + self._pending_silence

    def append(self, samples: npt.NDArray[np.int16]) -> None:
        """Write `samples` (int16, shape [n]), now or when the disk works again."""
        if self.error is None:  # so the backlog is empty
            if not self._write(samples):
                self._queue(samples)
            return
        if self._backlog or self._pending_silence:
            self._flush()
        behind = self._backlog or self._pending_silence
        if behind or not self._write(samples):
            self._queue(samples)

    def close(self, *, sync: bool = True) -> None:
        """Write the backlog and close; if the disk still fails, the backlog counts as lost. `sync` as in `GrowingWav`."""
        self._flush()
        if self._backlog:
            self.lost_samples += self._backlog_samples
            log.error("live layer closed with audio missing at its end: %s", self.error)
            self._backlog.clear()
            self._backlog_samples = self._pending_silence = 0
        try:
            self._file.close(sync=sync)
        except StoreError as error:
            self._note_error(error)

    def _write(self, samples: npt.NDArray[np.int16]) -> bool:
        try:
            self._file.append(samples)
        except StoreError as error:
            self._note_error(error)
            return False
        if self.error is not None:
            log.warning("live layer writable again file=%s", self._file.path.name)
            self.error = None
        return True

    def _queue(self, samples: npt.NDArray[np.int16]) -> None:
        # All later samples must queue behind pending silence.
        if self._pending_silence or self._backlog_samples + samples.size > self._max_backlog:
            self._pending_silence += samples.size
            self.lost_samples += samples.size
            return
        self._backlog.append(samples.copy())
        self._backlog_samples += samples.size

    def _flush(self) -> None:
        while self._backlog:
            if not self._write(self._backlog[0]):
                return
            self._backlog_samples -= self._backlog.popleft().size
        if self._pending_silence:
            try:
                self._file.pad_to(self._file.samples + self._pending_silence)
                self._pending_silence = 0
            except StoreError as error:
                self._note_error(error)

    def _note_error(self, error: StoreError) -> None:
        if self.error is None:
            log.error("%s; further audio waits in memory", error)
        self.error = str(error)


def repair(path: Path, keys: FileKeys | None = None) -> RepairedWav:
    """Correct the length of a file whose writer died: all complete samples count, half a sample is cut off.

    Raises StillGrowingError if the writer is alive, StoreError if the file cannot be opened, AudioFileError if it is no
    such file, EncryptionKeyError if it cannot be decrypted.
    """
    try:
        fd = _open_locked(path)
    except OSError as error:
        raise StoreError(f"the layer file {path} cannot be repaired: {error.strerror}") from error
    try:
        found, sealed = _correct(path, fd, keys)
        if sealed is not None:
            sealed.finish()
        if found.changed:
            os.fsync(fd)
        return found
    finally:
        os.close(fd)


def _create(path: Path, rate_hz: int, keys: FileKeys | None) -> None:
    """Create the file with its header in one step, so that it never exists without one. An existing file stays."""
    if path.exists():
        return
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        write_at(fd, new_header(keys, rate_hz).raw if keys else wav.header(0, rate_hz), 0)
        os.link(name, path)
    except FileExistsError:
        pass  # created by another process meanwhile; the lock decides
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


def _correct(path: Path, fd: int, keys: FileKeys | None) -> tuple[RepairedWav, SealedAppender | None]:
    size_bytes = os.fstat(fd).st_size
    header = os.pread(fd, HEADER_BYTES, 0)
    if is_sealed(header):
        return _correct_sealed(path, fd, keys)
    header = header[: wav.HEADER_BYTES]
    info = wav.parse(header)
    if (info.channels, info.bits, info.format, info.data_offset) != (1, 16, wav.PCM, wav.HEADER_BYTES):
        raise AudioFileError(f"expected a mono 16-bit WAV written by us in {path.name}, found another kind")
    data_bytes = wav.repaired_length(size_bytes)
    right_size = wav.HEADER_BYTES + data_bytes
    right_header = wav.header(data_bytes, info.rate_hz)
    if size_bytes != right_size:
        os.ftruncate(fd, right_size)
    if header != right_header:
        write_at(fd, right_header, 0)
    changed = size_bytes != right_size or header != right_header
    return RepairedWav(data_bytes // _SAMPLE_BYTES, right_size, info.rate_hz, changed), None


def _correct_sealed(path: Path, fd: int, keys: FileKeys | None) -> tuple[RepairedWav, SealedAppender]:
    """Records hold whole blocks, so only one that does not authenticate is cut off."""
    sealed, cut = SealedAppender.resume(fd, keys, path.name)
    if not sealed.rate_hz:
        raise AudioFileError(f"expected a mono 16-bit WAV written by us in {path.name}, found another kind")
    size_bytes = wav.HEADER_BYTES + sealed.data_bytes
    changed = cut or not sealed.finished
    return RepairedWav(sealed.data_bytes // _SAMPLE_BYTES, size_bytes, sealed.rate_hz, changed), sealed
