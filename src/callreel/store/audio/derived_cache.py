"""Layers that were dropped and take a whole pass to make again, kept for a while: a cache on this machine's disk.

Only layer 2 is such: its samples depend on all before them. A file here has its digest for a name, is checked when it is
made, and may be deleted at any time.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from callreel.domain.errors import StoreError
from callreel.domain.recording import LayerFile
from callreel.store.files.blobs import BlobStore

FOLDER = "remade"
MOST_BYTES = 1 << 30
_BLOCK_BYTES = 64 * 1024


class DigestMismatchError(StoreError):
    """What was made again is not what was dropped."""


def open_cached(blobs: BlobStore, file: LayerFile, make: Callable[[], Iterable[bytes]]) -> BinaryIO:
    """The WAV file, from the cache or made now. Raises DigestMismatchError, StoreError."""
    path = _path(blobs, file)
    try:
        found = path.open("rb")
        os.utime(path)
        return found
    except FileNotFoundError:
        return _made(path, file, make())


def read_range(cached: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    """Bytes of an opened file, which is closed afterwards."""
    with cached:
        cached.seek(start)
        while start < stop and (block := cached.read(min(_BLOCK_BYTES, stop - start))):
            start += len(block)
            yield block


def delete(blobs: BlobStore, file: LayerFile) -> None:
    """Delete what the cache has of it."""
    _path(blobs, file).unlink(missing_ok=True)


def _path(blobs: BlobStore, file: LayerFile) -> Path:
    return blobs.root / FOLDER / f"{file.sha256}.wav"


def _made(path: Path, file: LayerFile, chunks: Iterable[bytes]) -> BinaryIO:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            digest = hashlib.sha256()
            with os.fdopen(fd, "wb") as part:
                for chunk in chunks:
                    digest.update(chunk)
                    part.write(chunk)
            if digest.hexdigest() != file.sha256:
                raise DigestMismatchError(
                    f"{file.path} comes out of the archive with other bytes than it had"
                )
            _make_room(path.parent, file.size_bytes)
            os.replace(name, path)
            return path.open("rb")
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{file.path} cannot be made again here: {error.strerror}") from error


def _make_room(folder: Path, size_bytes: int) -> None:
    """Delete what was longest not asked for."""
    kept = sorted(
        ((path.stat(), path) for path in folder.glob("*.wav")), key=lambda entry: -entry[0].st_mtime
    )
    total = size_bytes
    for found, path in kept:
        total += found.st_size
        if total > MOST_BYTES:
            path.unlink(missing_ok=True)
