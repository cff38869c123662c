"""Every stored file held against its row, and every row against its file; what is safe is put right.

damaged   a finished file whose length or digest is not its row's: told, never touched
missing   a row without its file: fetched from the carrier again where the carrier still has it, else told
unknown   a file that no row names: moved aside into `unclaimed/`, never deleted, once it is a day old
leftover  a temporary file of a process that died: deleted once it is a day old
unclosed  a row of a growing layer while no server runs: put right by the next start, told here
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from callreel.domain.ids import RecordingSid
from callreel.domain.recording import CloudState, Layer, LayerFile, LayerState
from callreel.store import layers, recordings
from callreel.store.blobs import BlobStore
from callreel.store.database import Database
from callreel.store.files import make_folder, sha256_of, sync_folder

log = logging.getLogger(__name__)

FOLDERS = ("audio_recordings", "twilio_recordings")
UNCLAIMED = "unclaimed"
OLD = timedelta(days=1)


class Kind(StrEnum):
    DAMAGED = "damaged"
    MISSING = "missing"
    UNKNOWN = "unknown"
    LEFTOVER = "leftover"
    UNCLOSED = "unclosed"


@dataclass(frozen=True, slots=True)
class Finding:
    """`done` says what was put right; None when nothing was."""

    kind: Kind
    path: str
    what: str
    done: str | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """`files` were read, `size_bytes` in all."""

    files: int
    size_bytes: int
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """What is still wrong."""
        return tuple(finding for finding in self.findings if finding.done is None)


class Checking:
    """Blocking; reads every file once. Runs beside a server: what is younger than a day is left alone."""

    def __init__(self, database: Database, blobs: BlobStore, now: datetime, *, repair: bool) -> None:
        self._database = database
        self._blobs = blobs
        self._now = now
        self._repair = repair

    def run(self) -> Checked:
        """Check all."""
        with self._database.read() as conn:
            rows = layers.everything(conn)
        findings = [found for row in rows if (found := self._row(row)) is not None]
        findings += self._strangers({row.path for row in rows})
        return Checked(len(rows), sum(row.size_bytes for row in rows), tuple(findings))

    def _row(self, row: LayerFile) -> Finding | None:
        path = self._blobs.path(row.path)
        if not path.is_file():
            return self._missing(row)
        if row.state is LayerState.RECORDING:
            stale = datetime.fromtimestamp(path.stat().st_mtime, UTC) < self._now - OLD
            what = "its call ended long ago; the next start of the server closes it"
            return Finding(Kind.UNCLOSED, row.path, what) if stale else None
        size_bytes = path.stat().st_size
        if size_bytes != row.size_bytes:
            what = f"expected {row.size_bytes} bytes, found {size_bytes}"
            return Finding(Kind.DAMAGED, row.path, what)
        if row.sha256 is not None and sha256_of(path) != row.sha256:
            return Finding(Kind.DAMAGED, row.path, "its digest is not the row's")
        return None

    def _missing(self, row: LayerFile) -> Finding:
        """The carrier's file, and what was made of it, can be had again; a live layer cannot."""
        done = None
        if self._repair and row.layer in (Layer.CLOUD, Layer.CLOUD_CHANNEL) and self._fetch_again(row):
            done = "asked for again at the carrier"
        return Finding(Kind.MISSING, row.path, "there is a row and no file", done)

    def _fetch_again(self, row: LayerFile) -> bool:
        with self._database.write() as conn:
            call_id = layers.calls_of_paths(conn).get(row.path)
            if call_id is None:
                return False
            stored = [r for r in recordings.of_call(conn, call_id) if r.state is CloudState.STORED]
            named = [r.sid for r in stored if r.sid in row.path] or [r.sid for r in stored]
            return any([recordings.fetch_again(conn, RecordingSid(sid), self._now) for sid in named[:1]])

    def _strangers(self, known: set[str]) -> Iterator[Finding]:
        for folder in FOLDERS:
            root = self._blobs.root / folder
            for path in sorted(root.iterdir()) if root.is_dir() else ():
                key = f"{folder}/{path.name}"
                if path.is_file() and key not in known:
                    yield self._stranger(key, path)

    def _stranger(self, key: str, path: Path) -> Finding:
        leftover = path.name.endswith(".part")
        old = datetime.fromtimestamp(path.stat().st_mtime, UTC) < self._now - OLD
        kind = Kind.LEFTOVER if leftover else Kind.UNKNOWN
        what = "left by a process that died" if leftover else "no row names it"
        if not old:
            return Finding(kind, key, what, "left alone, it is younger than a day")
        if not self._repair:
            return Finding(kind, key, what)
        if leftover:
            path.unlink(missing_ok=True)
            return Finding(kind, key, what, "deleted")
        aside = self._blobs.root / UNCLAIMED / key
        make_folder(aside.parent)
        path.rename(aside)
        sync_folder(aside.parent)
        return Finding(kind, key, what, f"moved to {UNCLAIMED}/{key}")
