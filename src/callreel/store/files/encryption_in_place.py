"""Replaces a finished file by its encrypted copy, which was read back before, on this machine and in the object store."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from callreel.domain.errors import StoreError
from callreel.store.encryption.sealed_file import FileKeys
from callreel.store.files.blobs import BlobStore
from callreel.store.files.durable_files import make_folder, sync_folder
from callreel.store.files.object_store import BLOCK_BYTES, ObjectStore, Sealed, StoredObject
from callreel.store.files.stored_file import FileWriter, file_id, is_sealed, stored_digest
from callreel.store.files.temporary_files import locked_part, one_line_errors


def encrypt_file(blobs: BlobStore, key: str) -> bool:
    """Replace a plain file by an encrypted one, here and in the object store; False if there was none to replace.

    A file that is still written is left alone. Readers keep the file that they have open. Raises StoreError.
    """
    path = blobs.path(key)
    with one_line_errors(f"{key} cannot be encrypted"):
        local = path.is_file() and not is_sealed(path) and _encrypt_local(path, blobs.keys)
        if blobs.objects is None:
            return local
        plain = [each for each in blobs.objects.versions(key) if each.sealed is None]
        if plain:
            _encrypt_object(blobs, blobs.objects, plain[0])
    return local or bool(plain)


def _encrypt_local(path: Path, keys: FileKeys | None) -> bool:
    with path.open("rb") as source:
        try:
            fcntl.flock(source, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        with _encrypted_copy(path, iter(lambda: source.read(BLOCK_BYTES), b""), keys) as (part, _):
            found = os.fstat(source.fileno())
            os.utime(part, ns=(found.st_atime_ns, found.st_mtime_ns))
            os.replace(part, path)
            sync_folder(path.parent)
    return True


def _encrypt_object(blobs: BlobStore, objects: ObjectStore, plain: StoredObject) -> None:
    path = blobs.path(plain.key)
    make_folder(path.parent)
    blocks = objects.read(plain, 0, plain.stored_bytes)
    with _encrypted_copy(path, blocks, blobs.keys) as (part, sha256):
        if sha256 != plain.sha256:
            raise StoreError(f"{plain.key} in the object store has other bytes than its name says")
        known = file_id(part, blobs.keys)
        assert known is not None
        objects.upload(plain.key, part, sha256, Sealed(known, plain.size_bytes))
    objects.delete(plain.key, only_plain=True)


@contextmanager
def _encrypted_copy(path: Path, blocks: Iterable[bytes], keys: FileKeys | None) -> Iterator[tuple[Path, str]]:
    """A synced temporary file beside `path`, and the digest of its plaintext, read back from it."""
    if keys is None:
        raise StoreError("there is no master key to encrypt with; set CALLREEL_ENCRYPTION_KEYS")
    fd, part = locked_part(path)
    try:
        writer = FileWriter(fd, keys)
        for block in blocks:
            writer.write(block)
        writer.finish()
        os.fsync(fd)
        if stored_digest(part, keys) != writer.sha256:
            raise StoreError(f"the encrypted copy of {path.name} has other bytes")
        yield part, writer.sha256
    finally:
        os.close(fd)
        part.unlink(missing_ok=True)
