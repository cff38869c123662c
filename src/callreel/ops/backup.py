"""Backup of an installation on one machine while it runs, and restore.

    DIR/app.db  DIR/stages.db  DIR/files/...  DIR/manifest.json

The databases are copied first, each as of one instant, then every file that a row of the copy names. Finished files never
change, so a later copy still matches its row. A growing layer is copied up to its current end; the first start after a
restore repairs it, as after a kill. Encrypted files are copied as they are; the digests in the manifest are of the stored
bytes, so that a backup is verified and restored without keys. The manifest, with all digests, is written last: a folder without one is not a backup.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from callreel.domain.errors import StoreError
from callreel.domain.recording import LayerFile, LayerState
from callreel.store.calls import layers
from callreel.store.db.database import Database
from callreel.store.db.snapshot import copy_sqlite
from callreel.store.files.blobs import BlobStore
from callreel.store.files.durable_files import make_folder, path_inside, sha256_of, sync_file, sync_folder
from callreel.store.files.stored_file import stored_digest

FORMAT = "callreel-backup-1"
MANIFEST = "manifest.json"
FILES = "files"
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a backup; `path` is relative to its folder."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Backup:
    """A manifest. `not_copied` are files that rows name and that were missing or had other bytes."""

    made_at: str
    entries: tuple[Entry, ...]
    not_copied: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.entries)


def make_backup(
    databases: Iterable[Path], objects: BlobStore, target: Path, at: datetime, *, say: Callable[[str], None]
) -> Backup:
    """Copy `databases`, and all files that the rows of the first one name, into the new or empty folder `target`.

    Raises StoreError if `target` is not empty, or if the disk fails.
    """
    if target.exists() and any(target.iterdir()):
        raise StoreError(f"{target} is not empty; name a new folder for the backup")
    try:
        make_folder(target)
        entries = []
        for database in databases:
            say(f"copying {database.name}")
            copy_sqlite(database, target / database.name)
            entries.append(_entry(target, target / database.name))
        files, not_copied = _copy_files(target, next(iter(databases)).name, objects, say)
        backup = Backup(at.isoformat(), (*entries, *files), tuple(not_copied))
        _write_manifest(target, backup)
    except OSError as error:
        raise StoreError(f"the backup {target} cannot be written: {error.strerror}") from error
    return backup


def _copy_files(
    target: Path, database: str, objects: BlobStore, say: Callable[[str], None]
) -> tuple[list[Entry], list[str]]:
    named = kept_files(rows_of(target / database))
    say(f"copying {len(named)} files")
    entries, not_copied = [], []
    for key, sha256 in named.items():
        copied = _copy_file(target, objects, key, sha256)
        if copied is None:
            not_copied.append(key)
        else:
            entries.append(copied)
    return entries, not_copied


def kept_files(rows: Iterable[LayerFile]) -> dict[str, str | None]:
    """The keys of the rows' files, or of the archive files they are rebuilt from, with digests; None while one grows."""
    kept: dict[str, str | None] = {}
    for row in rows:
        if row.archived is not None:
            kept[row.archived.key] = row.archived.sha256
        else:
            kept[row.path] = None if row.state is LayerState.RECORDING else row.sha256
    return kept


def _copy_file(target: Path, objects: BlobStore, key: str, sha256: str | None) -> Entry | None:
    if not objects.exists(key):
        return None
    copy = path_inside(target / FILES, key)
    make_folder(copy.parent)
    entry = Entry(f"{FILES}/{key}", *_copied(objects.raw_reader(key), copy))
    return entry if sha256 is None or stored_digest(copy, objects.keys) == sha256 else None


def _copied(source: BinaryIO, copy: Path) -> tuple[int, str]:
    digest = hashlib.sha256()
    size_bytes = 0
    with source as reading, copy.open("xb") as writing:
        while block := reading.read(_BLOCK_BYTES):
            digest.update(block)
            size_bytes += writing.write(block)
        writing.flush()
        os.fsync(writing.fileno())
    copy.chmod(0o600)
    return size_bytes, digest.hexdigest()


def rows_of(database: Path) -> list[LayerFile]:
    """All layer files in an SQLite database."""
    opened = Database.open(str(database))
    try:
        with opened.read() as conn:
            return layers.all_files(conn)
    finally:
        opened.close()
        for leftover in ("-wal", "-shm"):
            database.with_name(database.name + leftover).unlink(missing_ok=True)


def _entry(folder: Path, path: Path) -> Entry:
    return Entry(str(path.relative_to(folder)), path.stat().st_size, sha256_of(path))


def _write_manifest(target: Path, backup: Backup) -> None:
    # Reading the copied database has switched it to WAL mode, which changes the file: take its digest now.
    entries = [
        _entry(target, target / entry.path) if "/" not in entry.path else entry for entry in backup.entries
    ]
    body: dict[str, Any] = {
        "format": FORMAT,
        "made_at": backup.made_at,
        "missing": list(backup.not_copied),
        "files": [asdict(entry) for entry in entries],
    }
    part = target / f"{MANIFEST}.part"
    part.write_text(json.dumps(body, indent=1) + "\n")
    sync_file(part)
    part.rename(target / MANIFEST)
    sync_folder(target)


def read_manifest(folder: Path) -> Backup:
    """Raises StoreError for a folder that is not a complete backup, or whose manifest names a path outside it."""
    try:
        body = json.loads((folder / MANIFEST).read_text())
        if body["format"] != FORMAT:
            raise StoreError(f"{folder} is a backup of another version ({body['format']})")
        entries = tuple(Entry(**entry) for entry in body["files"])
        for entry in entries:
            path_inside(folder, entry.path)
            _target(folder, folder, entry)
        return Backup(body["made_at"], entries, tuple(body["missing"]))
    except FileNotFoundError:
        raise StoreError(f"{folder} is not a backup: it has no {MANIFEST}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{folder / MANIFEST} cannot be read: {error}") from None


def verify(folder: Path) -> list[str]:
    """The problems of a backup, one line for each file; empty if everything matches the manifest."""
    wrong = []
    for entry in read_manifest(folder).entries:
        path = path_inside(folder, entry.path)
        if not path.is_file():
            wrong.append(f"{entry.path}: missing")
        elif path.stat().st_size != entry.size_bytes or sha256_of(path) != entry.sha256:
            wrong.append(f"{entry.path}: changed since the backup")
    return wrong


def restore(folder: Path, data_dir: Path, objects_dir: Path, *, say: Callable[[str], None]) -> Backup:
    """Restore a backup into new or empty folders. Verifies everything first.

    Raises StoreError. The databases are written last, so that a server does not start on a partial restore.
    """
    backup = read_manifest(folder)
    for target in {data_dir, objects_dir}:
        if target.exists() and any(target.iterdir()):
            raise StoreError(f"{target} is not empty; restore into a new or empty folder")
    say(f"checking {len(backup.entries)} files")
    if wrong := verify(folder):
        raise StoreError(f"the backup is damaged ({wrong[0]}, {len(wrong)} in all); nothing was restored")
    say("restoring")
    try:
        for entry in sorted(backup.entries, key=lambda entry: "/" not in entry.path):
            target = _target(data_dir, objects_dir, entry)
            make_folder(target.parent)
            part = target.with_name(f"{target.name}.restored.part")
            shutil.copyfile(path_inside(folder, entry.path), part)
            part.chmod(0o600)
            sync_file(part)
            part.rename(target)
            sync_folder(target.parent)
    except OSError as error:
        raise StoreError(f"the backup cannot be restored to {data_dir}: {error.strerror}") from error
    return backup


def _target(data_dir: Path, objects_dir: Path, entry: Entry) -> Path:
    """Where an entry is restored: a file below `objects_dir`, a database directly in `data_dir`. Raises StoreError."""
    folder, _, key = entry.path.partition("/")
    if folder == FILES:
        return path_inside(objects_dir, key)
    if key:
        raise StoreError(f"the manifest names {entry.path!r}, which is neither a database nor below {FILES}/")
    return path_inside(data_dir, entry.path)
