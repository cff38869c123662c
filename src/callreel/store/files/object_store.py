"""Finished files in an object store (S3, GCS, Azure and what speaks S3), by key: written once and never replaced.

An object's name is the key as a folder, with the digest of its bytes: `twilio_recordings/CA.._RE...wav/<sha256>.wav`. So
writing twice writes the same bytes, and nothing depends on conditional writes, which some stores accept without
honouring them (reference/engine.md, section 4). A write counts once the object was read back and has its digest.
An encrypted file is `<sha256>-<length>-<file id>.sealed`, with the digest and the length of its plaintext.
Growing and temporary files are local only (`blobs.py`). This is the only module that uses obstore.
"""

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore as AnyStore
from obstore.store import from_url

from callreel.domain.errors import SettingsError, StoreError, StoreUnavailableError
from callreel.store.files.durable_files import sha256_of

if TYPE_CHECKING:
    from obstore import GetResult

BLOCK_BYTES = 1 << 20
_CACHED_OBJECTS = 4096
_PROBE = "callreel-probe"
_NAME = re.compile(
    r"(?P<key>.+)/(?P<sha256>[0-9a-f]{64})(-(?P<size>\d{1,18})-(?P<file_id>[0-9a-f]{32})\.sealed|\.\w+|)"
)
_SCHEMES = ("s3://", "s3a://", "gs://", "az://", "azure://", "abfs://", "abfss://")


@dataclass(frozen=True, slots=True)
class Sealed:
    """What distinguishes an encrypted object: its file id, and the length of its plaintext."""

    file_id: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object; `name` is its full name in the store. `size_bytes` and `sha256` are those of the plaintext."""

    key: str
    name: str
    stored_bytes: int
    sha256: str
    modified_at: datetime
    sealed: Sealed | None = None

    @property
    def size_bytes(self) -> int:
        return self.stored_bytes if self.sealed is None else self.sealed.size_bytes


def open_object_store(
    url: str, options: Mapping[str, str], *, key_id: str | None, secret: str | None, timeout_s: float
) -> "ObjectStore":
    """The store at `url`, such as `s3://bucket/prefix`. Sends no request yet. Raises SettingsError.

    `options` are obstore's, such as `endpoint` and `region`. Without `key_id` and `secret` the provider's own variables
    (AWS_ACCESS_KEY_ID and the like), files and machine roles apply.
    """
    config: dict[str, Any] = dict(options)
    if key_id and secret:
        config |= {"access_key_id": key_id, "secret_access_key": secret}
    plain = config.get("endpoint", "").startswith("http://")
    try:
        store: AnyStore = from_url(  # type: ignore[call-overload]  # one signature a provider
            url,
            config=config,
            client_options={
                "allow_http": plain,
                "connect_timeout": timedelta(seconds=min(5.0, timeout_s)),
                "timeout": timedelta(seconds=timeout_s),
            },
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=timeout_s)},
        )
    except (BaseError, ValueError, TypeError) as error:
        raise SettingsError(
            f"the object store {url} cannot be used as configured: {_first_line(error)}"
        ) from None
    return ObjectStore(store, url)


def is_object_store(url: str) -> bool:
    """Whether `url` names an object store rather than a folder."""
    return url.startswith(_SCHEMES)


class ObjectStore:
    """Objects below one prefix. Blocking; threads may share it. Methods raise StoreUnavailableError while it is unavailable."""

    def __init__(self, store: AnyStore, where: str) -> None:
        self._store = store
        self.where = where
        self._cache: OrderedDict[str, StoredObject] = OrderedDict()
        self._lock = threading.Lock()

    def upload(self, key: str, path: Path, sha256: str, sealed: Sealed | None = None) -> StoredObject:
        """Upload a file whose plaintext has the digest `sha256`, and read it back. Repeating it changes nothing.

        Raises StoreError and deletes the object if its bytes differ from those sent.
        """
        name = object_name(key, sha256, sealed)
        stored = [each for each in self.versions(key) if each.name == name]
        if not stored or stored[0].stored_bytes != path.stat().st_size:
            with self._available(f"{key} cannot be stored"):
                obstore.put(self._store, name, path)
        if self._digest(name) != (sha256 if sealed is None else sha256_of(path)):
            with self._available(f"{key} cannot be stored"):
                obstore.delete(self._store, name)
            self._forget(key)
            raise StoreError(f"the object store returned other bytes than it received for {key}")
        found = self.find(key, sha256)
        if found is None:
            raise StoreUnavailableError(f"the object store does not list {key} right after its upload")
        self._cache_object(found)
        return found

    def find(self, key: str, sha256: str | None = None) -> StoredObject | None:
        """The object of `key`, with this digest if one is given; the oldest encrypted one if there are several."""
        found = [o for o in self.versions(key) if sha256 is None or o.sha256 == sha256]
        return min(found, key=lambda o: (o.sealed is None, o.modified_at, o.name), default=None)

    def versions(self, key: str) -> list[StoredObject]:
        """All objects of `key`: several only if two processes stored it at the same instant, or while it is encrypted."""
        return [each for each in self.list_folder(key) if each.key == key]

    def find_cached(self, key: str) -> StoredObject | None:
        """As `find`, from a cache: objects never change."""
        with self._lock:
            cached = self._cache.get(key)
        if cached is None and (cached := self.find(key)) is not None:
            self._cache_object(cached)
        return cached

    def read(self, found: StoredObject, start: int, stop: int) -> Iterator[bytes]:
        """Bytes `start` up to but not including `stop`, in blocks. Sends the request at once."""
        if start >= stop:
            return iter(())
        with self._available(f"{found.key} cannot be read"):
            try:
                answer = obstore.get(self._store, found.name, options={"range": (start, stop)})
            except FileNotFoundError:
                self._forget(found.key)
                raise StoreError(f"there is no file {found.key}") from None
        return self._blocks(found.key, answer, stop - start)

    def _blocks(self, key: str, answer: "GetResult", expected: int) -> Iterator[bytes]:
        with self._available(f"{key} cannot be read"):
            for block in answer.stream(min_chunk_size=64 * 1024):
                piece = bytes(block)
                expected -= len(piece)
                yield piece
        if expected:
            raise StoreUnavailableError(f"the object store closed the connection while {key} was read")

    def digest(self, found: StoredObject) -> str:
        """The SHA-256 of the object's bytes as stored, read now, in hex."""
        return self._digest(found.name)

    def delete(self, key: str, *, only_plain: bool = False) -> int:
        """Delete all objects of `key`, or those that are not encrypted; returns their number."""
        found = [each for each in self.versions(key) if not only_plain or each.sealed is None]
        for each in found:
            with self._available(f"{key} cannot be deleted"):
                obstore.delete(self._store, each.name)
        self._forget(key)
        return len(found)

    def move_aside(self, found: StoredObject, folder: str) -> str:
        """Move an object below `folder`; returns its new name."""
        aside = f"{folder}/{found.name}"
        with self._available(f"{found.name} cannot be moved to {folder}"):
            obstore.copy(self._store, found.name, aside)
            obstore.delete(self._store, found.name)
        self._forget(found.key)
        return aside

    def list_folder(self, folder: str) -> Iterator[StoredObject]:
        """All objects whose keys begin with `folder` and a slash, in no particular order."""
        for name, stored_bytes, modified_at in self._listed(folder):
            if named := _NAME.fullmatch(name):
                sealed = Sealed(named["file_id"], int(named["size"])) if named["file_id"] else None
                yield StoredObject(named["key"], name, stored_bytes, named["sha256"], modified_at, sealed)

    def check(self) -> None:
        """Check that it responds, with one HEAD request. Raises StoreUnavailableError."""
        with self._available(f"the object store {self.where} cannot be used"):
            try:
                obstore.head(self._store, _PROBE)
            except FileNotFoundError:
                pass  # it responded

    def probe(self) -> None:
        """Try what storing a file needs: write, list, read back, delete. Raises StoreError."""
        what = f"the object store {self.where} cannot be used"
        body = b"callreel"
        name = object_name(_PROBE, hashlib.sha256(body).hexdigest())
        with self._available(what):
            obstore.put(self._store, name, body)
            back = bytes(obstore.get(self._store, name).bytes())
        if back != body or not self.versions(_PROBE):
            raise StoreError(f"{what}: it does not return or does not list an object after its upload")
        with self._available(what):
            obstore.delete(self._store, name)

    def _listed(self, folder: str) -> Iterator[tuple[str, int, datetime]]:
        with self._available(f"{folder} cannot be listed"):
            for batch in obstore.list(self._store, prefix=folder):
                for meta in batch:
                    yield meta["path"], meta["size"], meta["last_modified"]

    def _digest(self, name: str) -> str:
        digest = hashlib.sha256()
        with self._available(f"{name} cannot be read"):
            for block in obstore.get(self._store, name).stream(min_chunk_size=BLOCK_BYTES):
                digest.update(block)
        return digest.hexdigest()

    def _cache_object(self, found: StoredObject) -> None:
        with self._lock:
            self._cache[found.key] = found
            if len(self._cache) > _CACHED_OBJECTS:
                self._cache.popitem(last=False)

    def _forget(self, key: str) -> None:
        with self._lock:
            self._cache.pop(key, None)

    @contextmanager
    def _available(self, what: str) -> Iterator[None]:
        """Turn errors into a StoreUnavailableError of one line. A missing bucket may be created later."""
        try:
            yield
        except (BaseError, OSError) as error:
            raise StoreUnavailableError(f"{what}: {_first_line(error)}") from error


def object_name(key: str, sha256: str, sealed: Sealed | None = None) -> str:
    """The name of the object of `key` with these bytes."""
    if sealed is not None:
        return f"{key}/{sha256}-{sealed.size_bytes}-{sealed.file_id}.sealed"
    return f"{key}/{sha256}{_suffix(key)}"


def _suffix(key: str) -> str:
    return PurePosixPath(key).suffix


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
