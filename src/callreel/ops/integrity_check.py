"""Compares every stored file with its row and every row with its file, and repairs what is safe to repair.

damaged   the length or digest of a finished file differs from its row: reported only
missing   a row without its file: downloaded from the carrier again if possible, else reported
unknown   a file without a row: moved to `unclaimed/` once it is a day old, never deleted
leftover  a temporary file of a process that died: deleted once it is a day old
unclosed  a growing layer of an ended call: reported; the next start of the server closes it
elsewhere a layer on another machine's spool: not checked, since that machine moves it
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from callreel.domain.ids import RecordingSid
from callreel.domain.recording import Archived, CloudState, Layer, LayerFile, LayerState
from callreel.store.audio.layer_audio import layer_digest
from callreel.store.calls import layers, recordings
from callreel.store.db.database import Database
from callreel.store.files import folders
from callreel.store.files.blobs import BlobStat, BlobStore
from callreel.store.files.object_store import StoredObject

log = logging.getLogger(__name__)

OLD = timedelta(days=1)


class Kind(StrEnum):
    DAMAGED = "damaged"
    MISSING = "missing"
    UNKNOWN = "unknown"
    LEFTOVER = "leftover"
    UNCLOSED = "unclosed"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Finding:
    """`done` says what was repaired, or why nothing needs to be; None if a person must act."""

    kind: Kind
    path: str
    what: str
    done: str | None = None


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The result of a check of `files` files with `size_bytes` in total."""

    files: int
    size_bytes: int
    findings: tuple[Finding, ...]

    @property
    def unresolved(self) -> tuple[Finding, ...]:
        """The findings that need a person."""
        return tuple(finding for finding in self.findings if finding.done is None)


class IntegrityCheck:
    """Blocking; reads every file once. It can run beside a server: files younger than a day are left alone."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        now: datetime,
        *,
        repair: bool,
        spool: str | None = None,
    ) -> None:
        """`spool` is the name of this machine's spool, with an object store."""
        self._spool = spool
        self._digests: dict[str, str] = {}
        self._database = database
        self._blobs = blobs
        self._now = now
        self._repair = repair

    def run(self) -> CheckReport:
        with self._database.read() as conn:
            rows = layers.all_files(conn)
        findings = [found for row in rows if (found := self._row(row)) is not None]
        known = {row.path: row.sha256 for row in rows}
        known |= {row.archived.key: row.archived.sha256 for row in rows if row.archived}
        findings += self._files_without_row(set(known))
        findings += self._objects_without_row(known)
        return CheckReport(len(rows), sum(row.size_bytes for row in rows), tuple(findings))

    def _row(self, row: LayerFile) -> Finding | None:
        if row.archived is not None:
            return self._archived(row, row.archived)
        stat = self._blobs.stat(row.path)
        if stat is None and row.spool not in (None, self._spool):
            return Finding(
                Kind.ELSEWHERE, row.path, f"still on the spool of {row.spool}", "the other machine moves it"
            )
        if stat is None:
            return self._missing(row)
        if row.state is LayerState.RECORDING:
            stale = stat.modified_at < self._now - OLD
            what = "it was not written for more than a day, and is not closed; the next start of the server closes it"
            return Finding(Kind.UNCLOSED, row.path, what) if stale else None
        if stat.size_bytes != row.size_bytes:
            what = f"expected {row.size_bytes} bytes, found {stat.size_bytes}"
            return Finding(Kind.DAMAGED, row.path, what)
        if row.sha256 is not None and self._blobs.digest(row.path) != row.sha256:
            return Finding(Kind.DAMAGED, row.path, "its digest differs from its row")
        return None

    def _archived(self, row: LayerFile, archived: Archived) -> Finding | None:
        """Check that the archive yields the original bytes of the layer."""
        stat = self._blobs.stat(archived.key)
        if stat is None:
            return self._missing(row)
        if stat.size_bytes != archived.size_bytes or self._digest(archived.key) != archived.sha256:
            return Finding(Kind.DAMAGED, row.path, f"its archive file {archived.key} has changed")
        if layer_digest(self._blobs, row) != row.sha256:
            return Finding(
                Kind.DAMAGED, row.path, "rebuilt from the archive it has other bytes than the original"
            )
        return None

    def _digest(self, key: str) -> str:
        """Read once, since several layers may be rebuilt from one file."""
        if key not in self._digests:
            self._digests[key] = self._blobs.digest(key)
        return self._digests[key]

    def _missing(self, row: LayerFile) -> Finding:
        """The carrier's file can be downloaded and split again; a live layer is lost."""
        done = None
        if self._repair and row.layer in (Layer.CLOUD, Layer.CLOUD_CHANNEL) and self._fetch_again(row):
            done = "scheduled for download from the carrier"
        return Finding(Kind.MISSING, row.path, "the file of this row is missing", done)

    def _fetch_again(self, row: LayerFile) -> bool:
        with self._database.write() as conn:
            call_id = layers.calls_of_paths(conn).get(row.path)
            if call_id is None:
                return False
            stored = [r for r in recordings.of_call(conn, call_id) if r.state is CloudState.STORED]
            named = [r.sid for r in stored if r.sid in row.path] or [r.sid for r in stored]
            return any([recordings.download_again(conn, RecordingSid(sid), self._now) for sid in named[:1]])

    def _files_without_row(self, known: set[str]) -> Iterator[Finding]:
        for folder in folders.AUDIO:
            for blob in self._blobs.local_files(folder):
                if blob.key not in known:
                    yield self._file_without_row(blob)

    def _file_without_row(self, blob: BlobStat) -> Finding:
        leftover = blob.key.endswith(".part")
        kind = Kind.LEFTOVER if leftover else Kind.UNKNOWN
        what = "left by a process that died" if leftover else "it has no row"
        if blob.modified_at >= self._now - OLD:
            return Finding(kind, blob.key, what, "left alone: younger than a day")
        if not self._repair:
            return Finding(kind, blob.key, what)
        if leftover:
            self._blobs.path(blob.key).unlink(missing_ok=True)
            return Finding(kind, blob.key, what, "deleted")
        return Finding(
            kind, blob.key, what, f"moved to {self._blobs.move_aside(blob.key, folders.UNCLAIMED)}"
        )

    def _objects(self) -> Iterator[StoredObject]:
        for folder in folders.AUDIO if self._blobs.objects else ():
            assert self._blobs.objects is not None
            yield from self._blobs.objects.list_folder(folder)

    def _objects_without_row(self, known: dict[str, str | None]) -> Iterator[Finding]:
        """The same for the object store, where an object's name contains its digest."""
        objects = self._blobs.objects
        for found in self._objects():
            if known.get(found.key) == found.sha256:
                continue
            what = "it has no row" if found.key not in known else "its row has another digest"
            if found.modified_at >= self._now - OLD:
                yield Finding(Kind.UNKNOWN, found.name, what, "left alone: younger than a day")
            elif objects is not None and self._repair:
                done = f"moved to {objects.move_aside(found, folders.UNCLAIMED)}"
                yield Finding(Kind.UNKNOWN, found.name, what, done)
            else:
                yield Finding(Kind.UNKNOWN, found.name, what)
