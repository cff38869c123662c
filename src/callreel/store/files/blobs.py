"""Finished files by key: written once, whole and durable, and never replaced.

A key is a relative path with `/`, such as `twilio_recordings/CA.._RE...wav`. A file gets its name only when all its
bytes are on the disk: temporary file in the same folder, digest, fsync, `link` (which fails if the name is taken),
fsync of the folder. What a kill leaves behind is called `*.part`. Files that still grow are in `growing_wav.py`.

With an object store the folder is a spool: a file is whole on this disk first, then uploaded, read back, and only then
gone from here. So it is at every instant in one of the two places, and readers look here first. While the store is
away a file stays; `upload` moves it later.
"""

import errno
import fcntl
import glob
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from callreel.domain.errors import StoreAwayError, StoreError
from callreel.store.files.durable_files import (
    make_folder,
    sha256_of,
    sync_file,
    sync_folder,
    write_at,
)
from callreel.store.files.object_store import BLOCK_BYTES, ObjectStore, StoredObject

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

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
    """The files under `root`, or in an object store with `root` as its spool on this machine.

    Has no state of its own: threads and processes may share a root, and machines an object store.
    """

    def __init__(self, root: Path, objects: ObjectStore | None = None) -> None:
        self.root = root
        self.objects = objects

    def path(self, key: str) -> Path:
        """Where `key` is kept on this machine, if it is. Raises StoreError for a key that leads out of the root, also by a link."""
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

        Nothing is kept if `chunks` raises; its exception passes through. Raises StoreError if the disk refuses, and
        StoreAwayError if the object store does; then the file is whole on the spool, and putting it again goes on there.
        """
        with self.open_writer(key) as writing:
            for chunk in chunks:
                writing.write(chunk)
            return writing.commit()

    def open_writer(self, key: str) -> "BlobWriter":
        """A file to be written piece by piece, as a context: nothing is kept unless it was committed."""
        path = self._ready(key)
        with _plainly(f"{key} cannot be kept"):
            _remove_left(path)
            return BlobWriter(self, key, path, *_locked_part(path))

    def put_file(self, key: str, temp_path: Path) -> BlobInfo:
        """Keep a file that was written elsewhere; it is gone from `temp_path` afterwards. Otherwise as `put`."""
        path = self._ready(key)
        with _plainly(f"{key} cannot be kept"):
            if temp_path.stat().st_dev != path.parent.stat().st_dev:
                info = self.put(key, _blocks(temp_path.open("rb"), temp_path.stat().st_size))
                temp_path.unlink(missing_ok=True)
                return info
            info = self._published(key, temp_path, path)
            temp_path.unlink(missing_ok=True)
        return self._settled(info)

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
            if part.exists():
                info = self._published(key, part, path)
                part.unlink()
                return self._settled(info)
        if (settled := self.upload(key)) is not None:
            return settled
        found = self.objects.find(key) if self.objects else None
        if found is None:
            raise StoreError(f"{key} cannot be kept: nothing was brought")
        return BlobInfo(key, found.size_bytes, found.sha256)

    def upload(self, key: str) -> BlobInfo | None:
        """Bring a finished file from the spool to where it belongs; None if it is not on this machine.

        Without an object store that is where it lies. Raises StoreAwayError, and the file stays; BlobExistsError when
        the store has other bytes under the key.
        """
        path = self.path(key)
        with _plainly(f"{key} cannot be read"):
            if not path.is_file():
                return None
            return self._settled(BlobInfo(key, path.stat().st_size, sha256_of(path)))

    def move_aside(self, key: str, folder: str) -> str:
        """Move a file on this machine out of the way, below `folder`; answers where to. Nothing is lost. Raises StoreError."""
        aside = self._ready(f"{folder}/{key}")
        with _plainly(f"{key} cannot be moved aside"):
            self.path(key).rename(aside)
            sync_folder(aside.parent)
        return f"{folder}/{key}"

    def _published(self, key: str, part: Path, path: Path) -> BlobInfo:
        part.chmod(0o600)
        sync_file(part)
        sha256 = sha256_of(part)
        self._refuse_others(key, sha256)
        return _publish(key, part, path, sha256)

    def _refuse_others(self, key: str, sha256: str) -> None:
        """Raise BlobExistsError if the object store has other bytes; while it is away nobody knows, and that shows later."""
        try:
            others = [o for o in self.objects.versions(key) if o.sha256 != sha256] if self.objects else []
        except StoreAwayError:
            return
        if others:
            raise BlobExistsError(f"{key} is kept already, with other bytes")

    def _settled(self, info: BlobInfo) -> BlobInfo:
        if self.objects is None:
            return info
        if any(there.sha256 != info.sha256 for there in self.objects.versions(info.key)):
            raise BlobExistsError(f"{info.key} is kept already, with other bytes")
        path = self.path(info.key)
        self.objects.upload(info.key, path, info.sha256)
        with _plainly(f"{info.key} cannot be taken from the spool"):
            path.unlink(missing_ok=True)
            sync_folder(path.parent)
        return info

    def open_range(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` up to but not including `end` (None: the end of the file), in blocks.

        Raises StoreError at once if there is no such file, or if the range is not within it.
        """
        opened = self._opened(key)
        stored = None if opened else self._stored(key)
        if opened is None and stored is None:
            raise StoreError(f"there is no file {key}")
        size_bytes = os.fstat(opened.fileno()).st_size if opened else stored.size_bytes if stored else 0
        stop = size_bytes if end is None else end
        if not 0 <= start <= stop <= size_bytes:
            if opened:
                opened.close()
            raise StoreError(
                f"expected a range within the {size_bytes} bytes of {key}, got {start} to {stop}"
            )
        if opened:
            opened.seek(start)
            return _blocks(opened, stop - start)
        assert self.objects is not None and stored is not None
        return self.objects.read(stored, start, stop)

    def reader(self, key: str) -> BinaryIO:
        """The file, to be read at any place; close it. Raises StoreError if there is none."""
        opened = self._opened(key)
        if opened is not None:
            return opened
        stored = self._stored(key)
        if stored is None or self.objects is None:
            raise StoreError(f"there is no file {key}")
        return io.BufferedReader(_ObjectFile(self.objects, stored), BLOCK_BYTES)

    def digest(self, key: str) -> str:
        """The SHA-256 of a file as it is on the disk, or in the object store, now, in hex. Raises StoreError if there is
        none."""
        path = self.path(key)
        with _plainly(f"{key} cannot be read"):
            try:
                return sha256_of(path)
            except FileNotFoundError:
                stored = self._stored(key)
                if stored is None or self.objects is None:
                    raise
                return self.objects.digest(stored)

    def stat(self, key: str) -> BlobStat | None:
        """None if there is no such file."""
        path = self.path(key)
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            stored = self._stored(key)
            return BlobStat(key, stored.size_bytes, stored.modified_at) if stored else None
        if not path.is_file():
            return None
        return BlobStat(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def is_here(self, key: str) -> bool:
        """Whether the file lies on this machine's disk."""
        return self.path(key).is_file()

    def delete(self, key: str) -> bool:
        """Delete the file, wherever it is; whether there was one. Raises StoreError, StoreAwayError."""
        path = self.path(key)
        with _plainly(f"{key} cannot be deleted"):
            here = path.is_file()
            if here:
                path.unlink()
                sync_folder(path.parent)
        return bool(self.objects.delete(key) if self.objects else 0) or here

    def remove_left(self, folder: str) -> None:
        """Remove temporary files in a folder whose process died, also just after the file itself had been kept."""
        with _plainly(f"what dead processes left in {folder} cannot be removed"):
            _remove_unlocked(self.path(folder).glob(f".*{_PART}"))

    def local_files(self, folder: str) -> Iterator[BlobStat]:
        """Files below a folder on this machine, by name, temporary ones included."""
        for path in sorted(self.path(folder).rglob("*")):
            try:
                found = path.stat()
            except FileNotFoundError:
                continue  # it was moved meanwhile
            if path.is_file():
                key = path.relative_to(self.root).as_posix()
                yield BlobStat(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def _opened(self, key: str) -> BinaryIO | None:
        """The file on this machine, opened: it stays readable also when it is moved meanwhile."""
        path = self.path(key)
        with _plainly(f"{key} cannot be read"):
            try:
                return path.open("rb")
            except (FileNotFoundError, NotADirectoryError):
                return None

    def _stored(self, key: str) -> StoredObject | None:
        return self.objects.find_cached(key) if self.objects else None

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


class BlobWriter:
    """A file that is being written. `commit` keeps it; leaving the context without leaves nothing."""

    def __init__(self, store: BlobStore, key: str, path: Path, fd: int, part: Path) -> None:
        self._store = store
        self._key = key
        self._path = path
        self._fd = fd
        self._part = part
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        """Written so far."""

    def write(self, data: bytes) -> None:
        """Append. Raises StoreError if the disk refuses."""
        self._digest.update(data)
        with _plainly(f"{self._key} cannot be kept"):
            write_at(self._fd, data, self.size_bytes)
        self.size_bytes += len(data)

    def commit(self) -> BlobInfo:
        """Keep it. Errors as of `BlobStore.put`."""
        with _plainly(f"{self._key} cannot be kept"):
            os.fsync(self._fd)
            sha256 = self._digest.hexdigest()
            self._store._refuse_others(self._key, sha256)
            info = _publish(self._key, self._part, self._path, sha256)
        return self._store._settled(info)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)
        self._part.unlink(missing_ok=True)


class _ObjectFile(io.RawIOBase):
    """An object as a file that can be read at any place; each read is one request, so it belongs behind a buffer."""

    def __init__(self, objects: ObjectStore, stored: StoredObject) -> None:
        self._objects = objects
        self._stored = stored
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._stored.size_bytes}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        room = memoryview(buffer).cast("B")
        stop = min(self._at + len(room), self._stored.size_bytes)
        filled = 0
        for block in self._objects.read(self._stored, self._at, stop):
            room[filled : filled + len(block)] = block
            filled += len(block)
        self._at += filled
        return filled


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
    """Remove temporary files for `path` whose process died."""
    _remove_unlocked(path.parent.glob(f".{glob.escape(path.name)}.*{_PART}"))


def _remove_unlocked(parts: Iterable[Path]) -> None:
    """Of temporary files, remove those that nobody writes: the kernel let go of the locks of whoever died."""
    for part in parts:
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


def _publish(key: str, part: Path, path: Path, sha256: str) -> BlobInfo:
    """Give a synced file its name, if nothing else has it."""
    try:
        os.link(part, path)
    except FileExistsError:
        if sha256_of(path) != sha256:
            raise BlobExistsError(f"{key} is kept already, with other bytes") from None
    sync_folder(path.parent)
    return BlobInfo(key, path.stat().st_size, sha256)


def _blocks(file: BinaryIO, left: int) -> Iterator[bytes]:
    """`left` bytes from where `file` stands, which is closed afterwards."""
    with file:
        while left > 0 and (block := file.read(min(left, _BLOCK_BYTES))):
            left -= len(block)
            yield block
