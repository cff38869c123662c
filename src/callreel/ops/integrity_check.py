"""Every stored file held against its row, and every row against its file; what is safe is put right.

damaged   a finished file whose length or digest is not its row's: told, never touched
missing   a row without its file: fetched from the carrier again where the carrier still has it, else told
unknown   a file that no row names: moved aside into `unclaimed/`, never deleted, once it is a day old
leftover  a temporary file of a process that died: deleted once it is a day old
unclosed  a row of a growing layer while no server runs: put right by the next start, told here
elsewhere a layer that another machine still has on its spool: not looked at, it moves by itself
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
from callreel.store.files.blobs import BlobStat, BlobStore
from callreel.store.files.object_store import StoredObject

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
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Finding:
    """`done` says what was put right; None when nothing was."""

    kind: Kind
    path: str
    what: str
    done: str | None = None


@dataclass(frozen=True, slots=True)
class CheckReport:
    """`files` were read, `size_bytes` in all."""

    files: int
    size_bytes: int
    findings: tuple[Finding, ...]

    @property
    def unresolved(self) -> tuple[Finding, ...]:
        """What is still wrong."""
        return tuple(finding for finding in self.findings if finding.done is None)


class IntegrityCheck:
    """Blocking; reads every file once. Runs beside a server: what is younger than a day is left alone."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        now: datetime,
        *,
        repair: bool,
        spool: str | None = None,
    ) -> None:
        """`spool`: what this machine's is called, where there is an object store."""
        self._spool = spool
        self._digests: dict[str, str] = {}
        self._database = database
        self._blobs = blobs
        self._now = now
        self._repair = repair

    def run(self) -> CheckReport:
        """Check all."""
        with self._database.read() as conn:
            rows = layers.all_files(conn)
        findings = [found for row in rows if (found := self._row(row)) is not None]
        known = {row.path: row.sha256 for row in rows}
        known |= {row.archived.key: row.archived.sha256 for row in rows if row.archived}
        findings += self._strangers(set(known))
        findings += self._strange_objects(known)
        return CheckReport(len(rows), sum(row.size_bytes for row in rows), tuple(findings))

    def _row(self, row: LayerFile) -> Finding | None:
        if row.archived is not None:
            return self._archived(row, row.archived)
        stat = self._blobs.stat(row.path)
        if stat is None and row.spool not in (None, self._spool):
            return Finding(Kind.ELSEWHERE, row.path, f"still on the spool of {row.spool}", "moves by itself")
        if stat is None:
            return self._missing(row)
        if row.state is LayerState.RECORDING:
            stale = stat.modified_at < self._now - OLD
            what = "its call ended long ago; the next start of the server closes it"
            return Finding(Kind.UNCLOSED, row.path, what) if stale else None
        if stat.size_bytes != row.size_bytes:
            what = f"expected {row.size_bytes} bytes, found {stat.size_bytes}"
            return Finding(Kind.DAMAGED, row.path, what)
        if row.sha256 is not None and self._blobs.digest(row.path) != row.sha256:
            return Finding(Kind.DAMAGED, row.path, "its digest is not the row's")
        return None

    def _archived(self, row: LayerFile, archived: Archived) -> Finding | None:
        """Whether the layer comes out of the archive with the bytes that it had."""
        stat = self._blobs.stat(archived.key)
        if stat is None:
            return self._missing(row)
        if stat.size_bytes != archived.size_bytes or self._digest(archived.key) != archived.sha256:
            return Finding(
                Kind.DAMAGED, row.path, f"what it is made of, {archived.key}, is not what was kept"
            )
        if layer_digest(self._blobs, row) != row.sha256:
            return Finding(Kind.DAMAGED, row.path, "it comes out of the archive with other bytes than it had")
        return None

    def _digest(self, key: str) -> str:
        """Of a file that several layers may be made of: read once."""
        if key not in self._digests:
            self._digests[key] = self._blobs.digest(key)
        return self._digests[key]

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
            for blob in self._blobs.local_files(folder):
                if blob.key not in known:
                    yield self._stranger(blob)

    def _stranger(self, blob: BlobStat) -> Finding:
        leftover = blob.key.endswith(".part")
        kind = Kind.LEFTOVER if leftover else Kind.UNKNOWN
        what = "left by a process that died" if leftover else "no row names it"
        if blob.modified_at >= self._now - OLD:
            return Finding(kind, blob.key, what, "left alone, it is younger than a day")
        if not self._repair:
            return Finding(kind, blob.key, what)
        if leftover:
            self._blobs.path(blob.key).unlink(missing_ok=True)
            return Finding(kind, blob.key, what, "deleted")
        return Finding(kind, blob.key, what, f"moved to {self._blobs.move_aside(blob.key, UNCLAIMED)}")

    def _objects(self) -> Iterator[StoredObject]:
        for folder in FOLDERS if self._blobs.objects else ():
            assert self._blobs.objects is not None
            yield from self._blobs.objects.list_folder(folder)

    def _strange_objects(self, known: dict[str, str | None]) -> Iterator[Finding]:
        """The same for the object store, where a key's digest is in the object's name."""
        objects = self._blobs.objects
        for found in self._objects():
            if known.get(found.key) == found.sha256:
                continue
            what = "no row names it" if found.key not in known else "its row has another digest"
            if found.modified_at >= self._now - OLD:
                yield Finding(Kind.UNKNOWN, found.name, what, "left alone, it is younger than a day")
            elif objects is not None and self._repair:
                done = f"moved to {objects.move_aside(found, UNCLAIMED)}"
                yield Finding(Kind.UNKNOWN, found.name, what, done)
            else:
                yield Finding(Kind.UNKNOWN, found.name, what)
