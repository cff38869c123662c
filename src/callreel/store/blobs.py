"""Finished files under a data folder, by key: written once, whole and durable, and never replaced.

A key is a relative path with `/`, such as `twilio_recordings/CA.._RE...wav`. A file gets its name only when all its
bytes are on the disk: temporary file in the same folder, digest, fsync, `link` (which fails if the name is taken),
fsync of the folder. What a kill leaves behind is called `*.part`. Files that still grow are in `growing_wav.py`.
"""

import errno
import fcntl
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from callreel.domain.errors import StoreError
from callreel.store.files import make_folder, sha256_of, sync_file, sync_folder, write_at

_BLOCK_BYTES = 64 * 1024
_PART = ".part"


class BlobExistsError(StoreError):
    """The key is taken by other bytes."""


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """A finished file. `sha256` is in hex."""

    key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BlobStat:
    """What is known of a file without reading it."""

    key: str
    size_bytes: int
    modified_at: datetime


class BlobStore:
    """The files under `root`. Has no state of its own: threads and processes may share a root."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        """Where `key` is kept. Raises StoreError for a key that leads out of the root, also by a link."""
        parts = PurePosixPath(key)
        if (
            not key
            or parts.is_absolute()
            or ".." in parts.parts
            or "\0" in key
            or "\\" in key
            or not parts.parts
        ):
            raise StoreError(f"expected a key that is a path below the data folder, got {key!r}")
        path = self.root / parts
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise StoreError(f"the key {key!r} leads out of the data folder by a link")
        return path

    def put(self, key: str, chunks: Iterable[bytes]) -> BlobInfo:
        """Keep what `chunks` yield. The same bytes again are no matter; others raise BlobExistsError.

        Nothing is kept if `chunks` raises; its exception passes through. Raises StoreError if the disk refuses.
        """
        path = self._ready(key)
        what = f"{key} cannot be kept"
        with _plainly(what):
            _remove_left(path)
            fd, part = _locked_part(path)
        try:
            sha256 = _fill(fd, chunks, what)
            with _plainly(what):
                return _publish(key, part, path, sha256)
        finally:
            os.close(fd)
            part.unlink(missing_ok=True)

    def put_file(self, key: str, temp_path: Path) -> BlobInfo:
        """Keep a file that was written elsewhere; it is gone from `temp_path` afterwards. Otherwise as `put`."""
        path = self._ready(key)
        with _plainly(f"{key} cannot be kept"):
            if temp_path.stat().st_dev != path.parent.stat().st_dev:
                info = self.put(key, _blocks(temp_path, 0, None))
            else:
                info = _sync_and_publish(key, temp_path, path)
            temp_path.unlink(missing_ok=True)
            return info

    def part_path(self, key: str) -> Path:
        """Where a download of `key` may grow and be resumed, in the same folder."""
        path = self._ready(key)
        part = path.with_name(path.name + _PART)
        # Killed between link and unlink: both names are one file, and appending to it would spoil what is kept.
        if part.exists() and path.exists() and part.samefile(path):
            part.unlink()
        return part

    def commit_part(self, key: str) -> BlobInfo:
        """Keep what grew at `part_path(key)`. Again is no matter; other bytes than what is kept raise BlobExistsError."""
        path = self._ready(key)
        part = path.with_name(path.name + _PART)
        with _plainly(f"{key} cannot be kept"):
            if not part.exists() and path.exists():
                return BlobInfo(key, path.stat().st_size, sha256_of(path))
            info = _sync_and_publish(key, part, path)
            part.unlink()
            return info

    def open_range(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` up to but not including `end` (None: the end of the file), in blocks.

        Raises StoreError at once if there is no such file, or if the range is not within it.
        """
        stat = self.stat(key)
        if stat is None:
            raise StoreError(f"there is no file {key}")
        stop = stat.size_bytes if end is None else end
        if not 0 <= start <= stop <= stat.size_bytes:
            raise StoreError(
                f"expected a range within the {stat.size_bytes} bytes of {key}, got {start} to {stop}"
            )
        return _blocks(self.path(key), start, stop)

    def digest(self, key: str) -> str:
        """The SHA-256 of a file as it is on the disk now, in hex. Raises StoreError if there is none."""
        with _plainly(f"{key} cannot be read"):
            return sha256_of(self.path(key))

    def stat(self, key: str) -> BlobStat | None:
        """None if there is no such file."""
        path = self.path(key)
        if not path.is_file():
            return None
        found = path.stat()
        return BlobStat(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def free_bytes(self) -> int:
        """Room left for us on the disk of the data folder."""
        with _plainly(f"the data folder {self.root} cannot be used"):
            return shutil.disk_usage(self.root).free

    def check_writable(self) -> None:
        """Do once what every `put` does, and leave nothing. Makes the data folder. Raises StoreError."""
        with _plainly(f"the data folder {self.root} cannot be used"):
            make_folder(self.root)
            with tempfile.TemporaryDirectory(dir=self.root, prefix=".check.") as folder:
                path = Path(folder) / "file"
                path.write_bytes(b"callreel")
                sync_file(path)
                os.link(path, Path(folder) / "link")
                sync_folder(Path(folder))

    def _ready(self, key: str) -> Path:
        path = self.path(key)
        with _plainly(f"the folder of {key} cannot be made"):
            make_folder(path.parent)
        return path


@contextmanager
def _plainly(what: str) -> Iterator[None]:
    """Say in one line what the operating system refused."""
    try:
        yield
    except OSError as error:
        hint = "; its file system has no hard links" if error.errno in (errno.EPERM, errno.ENOTSUP) else ""
        raise StoreError(f"{what}: {error.strerror}{hint}") from error


def _locked_part(path: Path) -> tuple[int, Path]:
    """A temporary file for `path`, locked, which tells `_remove_left` that its process lives."""
    while True:
        fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_PART)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return fd, Path(name)
        os.close(fd)  # taken for a dead process's, between its making and its lock


def _remove_left(path: Path) -> None:
    """Remove temporary files for `path` whose process died: the kernel let go of their locks."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*{_PART}"):
        try:
            fd = os.open(part, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink(missing_ok=True)
        except BlockingIOError:
            pass  # somebody writes it now
        finally:
            os.close(fd)


def _fill(fd: int, chunks: Iterable[bytes], what: str) -> str:
    """Write and sync all chunks; their digest."""
    digest = hashlib.sha256()
    size_bytes = 0
    for chunk in chunks:
        digest.update(chunk)
        with _plainly(what):
            write_at(fd, chunk, size_bytes)
        size_bytes += len(chunk)
    with _plainly(what):
        os.fsync(fd)
    return digest.hexdigest()


def _sync_and_publish(key: str, part: Path, path: Path) -> BlobInfo:
    part.chmod(0o600)
    sync_file(part)
    return _publish(key, part, path, sha256_of(part))


def _publish(key: str, part: Path, path: Path, sha256: str) -> BlobInfo:
    """Give a synced file its name, if nothing else has it."""
    try:
        os.link(part, path)
    except FileExistsError:
        if sha256_of(path) != sha256:
            raise BlobExistsError(f"{key} is kept already, with other bytes") from None
    sync_folder(path.parent)
    return BlobInfo(key, path.stat().st_size, sha256)


def _blocks(path: Path, start: int, stop: int | None) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        left = path.stat().st_size - start if stop is None else stop - start
        while left > 0 and (block := file.read(min(left, _BLOCK_BYTES))):
            left -= len(block)
            yield block
