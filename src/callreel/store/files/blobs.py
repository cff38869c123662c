"""Finished files by key: written once, complete and durable, and never replaced.

A key is a relative path with `/`, such as `twilio_recordings/CA.._RE...wav`. A file gets its name only when all its bytes
are on the disk: temporary file in the same folder, digest, fsync, `link` (which fails if the name exists), fsync of the
folder. A killed process leaves only `*.part` files. Files that still grow are in `growing_wav.py`.

With an object store the folder is a spool: a file is completed on this disk, then uploaded, read back, and only then
deleted here. So it is always in at least one of the two places, and readers look on the disk first. While the object
store is unavailable the file stays on the spool; `upload` moves it later.

With keys every new file is encrypted (`stored_file.py`). Sizes and digests are those of the plaintext, everywhere but in
`raw_reader`.
"""

import glob
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from callreel.domain.errors import StoreError, StoreUnavailableError
from callreel.store.encryption.sealed_file import DamagedFileError, FileKeys
from callreel.store.files.durable_files import make_folder, path_inside, sync_file, sync_folder
from callreel.store.files.object_store import BLOCK_BYTES, ObjectStore, Sealed, StoredObject
from callreel.store.files.part_file import PartFile
from callreel.store.files.positioned_file import PositionedFile
from callreel.store.files.stored_file import (
    FileWriter,
    SealedReader,
    buffered,
    digest_of,
    file_id,
    open_stored,
    stored_digest,
    stored_size,
)
from callreel.store.files.temporary_files import PART, locked_part, one_line_errors, remove_unlocked

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_READ_BYTES = 64 * 1024


class BlobExistsError(StoreError):
    """The key has other bytes."""


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
    """The files under `root`, or in an object store with `root` as this machine's spool.

    It has no state: threads and processes may share a root, and machines an object store. With `keys` it encrypts new files.
    """

    def __init__(self, root: Path, objects: ObjectStore | None = None, keys: FileKeys | None = None) -> None:
        self.root = root
        self.objects = objects
        self.keys = keys

    def path(self, key: str) -> Path:
        """The place of `key` on this machine. Raises StoreError for a key that leaves the root or leads through a link."""
        return path_inside(self.root, key)

    def put(self, key: str, chunks: Iterable[bytes]) -> BlobInfo:
        """Store the bytes of `chunks`. Repeating it changes nothing; other bytes raise BlobExistsError.

        Stores nothing if `chunks` raises. Raises StoreError if the disk fails, and StoreUnavailableError if the object store
        does: then the file is complete on the spool, and a repeated `put` resumes there.
        """
        with self.open_writer(key) as writer:
            for chunk in chunks:
                writer.write(chunk)
            return writer.commit()

    def open_writer(self, key: str) -> "BlobWriter":
        """A file to be written piece by piece, as a context manager. Only `commit` stores it."""
        path = self._prepared(key)
        with one_line_errors(f"{key} cannot be stored"):
            remove_unlocked(path.parent.glob(f".{glob.escape(path.name)}.*{PART}"))
            return BlobWriter(self, key, path, *locked_part(path))

    def part_file(self, key: str) -> PartFile:
        """Where a download of `key` grows and can be resumed, in the same folder."""
        path = self._prepared(key)
        part = path.with_name(path.name + PART)
        # After a kill between link and unlink both names are one file, and appending would change the finished one.
        if part.exists() and path.exists() and part.samefile(path):
            part.unlink()
        return PartFile(part, self.keys)

    def commit_part(self, key: str) -> BlobInfo:
        """Store the file of `part_file(key)`. Repeating it changes nothing; other bytes raise BlobExistsError."""
        path = self._prepared(key)
        part = path.with_name(path.name + PART)
        with one_line_errors(f"{key} cannot be stored"):
            if part.exists():
                part.chmod(0o600)
                PartFile(part, self.keys).finish()
                sync_file(part)
                info = self._publish(key, part, path, stored_digest(part, self.keys))
                part.unlink()
                return self._move(info)
        if (moved := self.upload(key)) is not None:
            return moved
        stored = self.objects.find(key) if self.objects else None
        if stored is None:
            raise StoreError(f"{key} cannot be stored: there is no downloaded file")
        return BlobInfo(key, stored.size_bytes, stored.sha256)

    def upload(self, key: str) -> BlobInfo | None:
        """Move a finished file from the spool to the object store, if there is one. None if it is not on this machine.

        Raises StoreUnavailableError, and the file stays; BlobExistsError if the object store has other bytes under the key.
        """
        path = self.path(key)
        with one_line_errors(f"{key} cannot be read"):
            if not path.is_file():
                return None
            info = BlobInfo(key, stored_size(path, self.keys), stored_digest(path, self.keys))
            return self._move(info)

    def move_aside(self, key: str, folder: str) -> str:
        """Move a file on this machine below `folder`, and return its key there. Raises StoreError."""
        aside = self._prepared(f"{folder}/{key}")
        with one_line_errors(f"{key} cannot be moved to {folder}"):
            self.path(key).rename(aside)
            sync_folder(aside.parent)
        return f"{folder}/{key}"

    def open_range(
        self, key: str, start: int = 0, end: int | None = None, *, complete: bool = True
    ) -> Iterator[bytes]:
        """The bytes from `start` up to but not including `end` (None: the end of the file), in blocks.

        Raises StoreError at once if there is no such file, or if the range exceeds it; `complete` as of `reader`.
        """
        file = self.reader(key, complete=complete)
        size_bytes = file.seek(0, os.SEEK_END)
        stop = size_bytes if end is None else end
        if not 0 <= start <= stop <= size_bytes:
            file.close()
            raise StoreError(
                f"expected a range within the {size_bytes} bytes of {key}, got {start} to {stop}"
            )
        # One request for all of it.
        if isinstance(file, io.BufferedReader) and isinstance(file.raw, _ObjectFile):
            return file.raw.stream(start, stop)
        if isinstance(file, io.BufferedReader) and isinstance(file.raw, SealedReader):
            return _streamed(file, file.raw, start, stop)
        file.seek(start)
        return _blocks(file, stop - start)

    def reader(self, key: str, *, complete: bool = True) -> BinaryIO:
        """The file, seekable; close it. An open file stays readable while it moves. Raises StoreError if it does not exist.

        `complete`: refuse an encrypted file that is not finished, which is right for all but growing layers.
        """
        path = self.path(key)
        with one_line_errors(f"{key} cannot be read"):
            try:
                return open_stored(path, self.keys, complete=complete)
            except (FileNotFoundError, NotADirectoryError):
                stored = self._stored(key)
        if stored is None or self.objects is None:
            raise StoreError(f"there is no file {key}")
        file = _ObjectFile(self.objects, stored)
        if stored.sealed is None:
            return io.BufferedReader(file, BLOCK_BYTES)
        return buffered(SealedReader(file, self.keys, key, complete=True), BLOCK_BYTES)

    def raw_reader(self, key: str) -> BinaryIO:
        """The bytes as stored, for a copy that stays encrypted. Raises StoreError if there is no such file."""
        path = self.path(key)
        with one_line_errors(f"{key} cannot be read"):
            try:
                return path.open("rb")
            except (FileNotFoundError, NotADirectoryError):
                stored = self._stored(key)
        if stored is None or self.objects is None:
            raise StoreError(f"there is no file {key}")
        return io.BufferedReader(_ObjectFile(self.objects, stored), BLOCK_BYTES)

    def digest(self, key: str) -> str:
        """The SHA-256 of the plaintext, read now, in hex. Raises StoreError if there is no such file."""
        path = self.path(key)
        with one_line_errors(f"{key} cannot be read"):
            try:
                return stored_digest(path, self.keys)
            except FileNotFoundError:
                stored = self._stored(key)
                if stored is None or self.objects is None:
                    raise
            if stored.sealed is None:
                return self.objects.digest(stored)
            with self.reader(key) as file:
                return digest_of(file)

    def stat(self, key: str) -> BlobStat | None:
        """None if there is no such file."""
        path = self.path(key)
        with one_line_errors(f"{key} cannot be read"):
            try:
                found = path.stat()
                size_bytes = stored_size(path, self.keys) if path.is_file() else None
            except (FileNotFoundError, NotADirectoryError):
                stored = self._stored(key)
                return BlobStat(key, stored.size_bytes, stored.modified_at) if stored else None
        return None if size_bytes is None else replace(self._stat_of(path, found), size_bytes=size_bytes)

    def exists(self, key: str) -> bool:
        """Whether there is such a file, here or in the object store. Needs no key."""
        return self.path(key).is_file() or self._stored(key) is not None

    def delete(self, key: str) -> bool:
        """Delete the file everywhere; False if there was none. Raises StoreError, StoreUnavailableError."""
        path = self.path(key)
        with one_line_errors(f"{key} cannot be deleted"):
            local = path.is_file()
            if local:
                path.unlink()
                sync_folder(path.parent)
        return bool(self.objects.delete(key) if self.objects else 0) or local

    def local_files(self, folder: str) -> Iterator[BlobStat]:
        """The files below a folder on this machine, by name, with temporary ones; sizes are those on the disk."""
        for path in sorted(self.path(folder).rglob("*")):
            try:
                found = path.stat()
            except FileNotFoundError:
                continue  # moved meanwhile
            if path.is_file() and not path.is_symlink():
                yield self._stat_of(path, found)

    def _publish(self, key: str, part: Path, path: Path, sha256: str) -> BlobInfo:
        """Give a synced file its name, unless the key has other bytes."""
        try:
            stored = self.objects.versions(key) if self.objects else []
        except StoreUnavailableError:
            stored = []  # `_move` finds out later
        if any(each.sha256 != sha256 for each in stored):
            raise BlobExistsError(f"{key} already exists with other bytes")
        try:
            os.link(part, path)
        except FileExistsError:
            if stored_digest(path, self.keys) != sha256:
                raise BlobExistsError(f"{key} already exists with other bytes") from None
        sync_folder(path.parent)
        return BlobInfo(key, stored_size(path, self.keys), sha256)

    def _move(self, info: BlobInfo) -> BlobInfo:
        """Upload a file and delete it here. Without an object store it is at its place."""
        if self.objects is None:
            return info
        stored = self.objects.versions(info.key)
        if any(each.sha256 != info.sha256 for each in stored):
            raise BlobExistsError(f"{info.key} already exists with other bytes")
        path = self.path(info.key)
        known = file_id(path, self.keys)
        others = [each for each in stored if each.sealed is not None and each.sealed.file_id != known]
        if not known or not any(self._is_intact(self.objects, each) for each in others):
            self.objects.upload(
                info.key, path, info.sha256, Sealed(known, info.size_bytes) if known else None
            )
        with one_line_errors(f"{info.key} cannot be deleted from the spool"):
            path.unlink(missing_ok=True)
            sync_folder(path.parent)
        return info

    def _is_intact(self, objects: ObjectStore, stored: StoredObject) -> bool:
        """Whether an encrypted object, of an earlier attempt or another machine, has the plaintext that its name says."""
        try:
            file = SealedReader(_ObjectFile(objects, stored), self.keys, stored.key, complete=True)
            with buffered(file, BLOCK_BYTES) as opened:
                return digest_of(opened) == stored.sha256
        except DamagedFileError:
            return False

    def _stored(self, key: str) -> StoredObject | None:
        return self.objects.find_cached(key) if self.objects else None

    def _stat_of(self, path: Path, found: os.stat_result) -> BlobStat:
        modified_at = datetime.fromtimestamp(found.st_mtime, UTC)
        return BlobStat(path.relative_to(self.root).as_posix(), found.st_size, modified_at)

    def _prepared(self, key: str) -> Path:
        path = self.path(key)
        with one_line_errors(f"the folder of {key} cannot be created"):
            make_folder(path.parent)
        return path


class BlobWriter:
    """A file that is being written. `commit` stores it; leaving the context without it leaves nothing."""

    def __init__(self, store: BlobStore, key: str, path: Path, fd: int, part: Path) -> None:
        self._store = store
        self._key = key
        self._path = path
        self._fd = fd
        self._part = part
        with one_line_errors(f"{key} cannot be stored"):
            self._writer = FileWriter(fd, store.keys)

    @property
    def size_bytes(self) -> int:
        return self._writer.size_bytes

    def write(self, data: bytes) -> None:
        """Append. Raises StoreError if the disk fails."""
        with one_line_errors(f"{self._key} cannot be stored"):
            self._writer.write(data)

    def commit(self) -> BlobInfo:
        """Store the file. Errors as of `BlobStore.put`."""
        with one_line_errors(f"{self._key} cannot be stored"):
            self._writer.finish()
            os.fsync(self._fd)
            info = self._store._publish(self._key, self._part, self._path, self._writer.sha256)
        return self._store._move(info)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._fd)
        self._part.unlink(missing_ok=True)


class _ObjectFile(PositionedFile):
    """An object's stored bytes as a seekable file. Each read is one request, so put it behind a buffer."""

    def __init__(self, objects: ObjectStore, stored: StoredObject) -> None:
        super().__init__(stored.stored_bytes)
        self._objects = objects
        self._stored = stored

    def stream(self, start: int, stop: int) -> Iterator[bytes]:
        return self._objects.read(self._stored, start, stop)

    blocks = stream

    def read_at(self, at: int, count: int) -> bytes:
        return b"".join(self.stream(at, min(at + count, self.size_bytes)))

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        target = memoryview(buffer).cast("B")
        stop = min(self._at + len(target), self.size_bytes)
        filled = 0
        for block in self._objects.read(self._stored, self._at, stop):
            target[filled : filled + len(block)] = block
            filled += len(block)
        self._at += filled
        return filled


def _streamed(file: BinaryIO, reader: SealedReader, start: int, stop: int) -> Iterator[bytes]:
    with file:
        yield from reader.stream(start, stop)


def _blocks(file: BinaryIO, left: int) -> Iterator[bytes]:
    """The next `left` bytes of `file`, which is closed afterwards."""
    with file:
        while left > 0 and (block := file.read(min(left, _READ_BYTES))):
            left -= len(block)
            yield block
