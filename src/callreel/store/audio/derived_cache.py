"""A cache on this machine's disk for archived layers that only a full pass rebuilds.

That is layer 2: each of its samples depends on all samples before it. A cached file is named by its digest, verified when
it is written, and may be deleted at any time.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from callreel.domain.errors import StoreError
from callreel.domain.recording import LayerFile
from callreel.store.files.blobs import BlobStore
from callreel.store.files.stored_file import FileWriter, open_stored

FOLDER = "derived"
MAX_BYTES = 1 << 30
_BLOCK_BYTES = 64 * 1024


class DigestMismatchError(StoreError):
    """The rebuilt file differs from the original."""


def open_cached(blobs: BlobStore, file: LayerFile, make: Callable[[], Iterable[bytes]]) -> BinaryIO:
    """The WAV file, from the cache or rebuilt now. Raises DigestMismatchError, StoreError."""
    path = _path(blobs, file.sha256)
    try:
        found = open_stored(path, blobs.keys)
        os.utime(path)
        return found
    except FileNotFoundError:
        return _store(blobs, path, file, make())


def read_range(cached: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    """Bytes of an opened file, which is closed afterwards."""
    with cached:
        cached.seek(start)
        while start < stop and (block := cached.read(min(_BLOCK_BYTES, stop - start))):
            start += len(block)
            yield block


def delete(blobs: BlobStore, sha256: str) -> None:
    """Delete the cached file with this digest, if there is one."""
    _path(blobs, sha256).unlink(missing_ok=True)


def _path(blobs: BlobStore, sha256: str | None) -> Path:
    return blobs.path(f"{FOLDER}/{sha256}.wav")


def _store(blobs: BlobStore, path: Path, file: LayerFile, chunks: Iterable[bytes]) -> BinaryIO:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(fd, "wb"):
                part = FileWriter(fd, blobs.keys)
                for chunk in chunks:
                    part.write(chunk)
                part.finish()
            if part.sha256 != file.sha256:
                raise DigestMismatchError(
                    f"{file.path} rebuilt from the archive has other bytes than the original"
                )
            _evict(path.parent, file.size_bytes)
            os.replace(name, path)
            return open_stored(path, blobs.keys)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{file.path} cannot be rebuilt here: {error.strerror}") from error


def _evict(folder: Path, size_bytes: int) -> None:
    """Delete the least recently used files."""
    kept = sorted(
        ((path.stat(), path) for path in folder.glob("*.wav")), key=lambda entry: -entry[0].st_mtime
    )
    total = size_bytes
    for found, path in kept:
        total += found.st_size
        if total > MAX_BYTES:
            path.unlink(missing_ok=True)
