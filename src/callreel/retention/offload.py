"""Moves files from this machine's spool to the object store: live layers after their call, and others that had to wait.

A file is uploaded, read back, and only then deleted here; then its row is updated. After a kill at any instant, the next
sweep completes the move: a file that is still here is moved, one that is not is in the store. While the store is
unavailable, everything stays on the spool and is played from there.
"""

import logging
from datetime import timedelta

from callreel.domain.errors import StoreError, StoreUnavailableError
from callreel.domain.recording import LayerFile
from callreel.runtime.clock import Clock
from callreel.runtime.periodic import PeriodicJob
from callreel.runtime.retry import Backoff
from callreel.store.audio import peaks
from callreel.store.calls import layers
from callreel.store.db.database import Database
from callreel.store.files import folders
from callreel.store.files.blobs import BlobExistsError, BlobStore

log = logging.getLogger(__name__)

INTERVAL_S = 2.0
_BACKOFF = Backoff(first_s=2 * INTERVAL_S, longest_s=60.0)
AFTER_END = timedelta(seconds=3)
"""A layer is not moved before this time after its call: a stream that joined at the last instant may still append to it."""
MADE_FOLDERS = (folders.CLOUD, peaks.FOLDER)
"""Folders of files that post-call stages make; one that is still here could not be uploaded at once."""


class Offloader:
    """Blocking; two at once do no harm."""

    def __init__(self, database: Database, blobs: BlobStore, clock: Clock, spool: str) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self.spool = spool
        self._failures = 0
        self.waiting = 0
        """Files that could not be moved in the last sweep."""

    def job(self) -> PeriodicJob:
        """The job that runs `sweep`, at growing intervals while the object store is unavailable."""
        return PeriodicJob(name="offload", job=self.sweep, interval_s=self._interval_s)

    def _interval_s(self) -> float:
        self._failures = self._failures + 1 if self.waiting else 0
        return _BACKOFF.after_s(self._failures) if self._failures else INTERVAL_S

    def sweep(self) -> int:
        """Move what can be moved; returns how many files were."""
        with self._database.read() as conn:
            due = layers.on_spool(conn, self.spool, self._clock.now() - AFTER_END)
        made = self._made()
        moved = 0
        try:
            for file in due:
                moved += self._move(file)
            for key in made:
                moved += self._settle(key)
        except StoreUnavailableError as error:
            if not self.waiting:
                log.warning("files stay on the spool: %s", error)
            self.waiting = len(due) + len(made) - moved
            return moved
        if self.waiting:
            log.warning("object store recovered, moving files again")
        self.waiting = 0
        return moved

    def _move(self, file: LayerFile) -> bool:
        if not self._settle(file.path) and self._blobs.stat(file.path) is None:
            log.error("a layer is neither on the spool nor in the object store: %s", file.path)
            return False
        with self._database.write() as conn:
            return layers.clear_spool(conn, file.path, self.spool)

    def _settle(self, key: str) -> bool:
        try:
            return self._blobs.upload(key) is not None
        except BlobExistsError as error:
            log.error(
                "%s; the file of the spool was moved to %s",
                error,
                self._blobs.move_aside(key, folders.UNCLAIMED),
            )
        except StoreUnavailableError:
            raise
        except StoreError as error:
            log.error("moving a file to the object store failed: %s", error)
        return False

    def _made(self) -> list[str]:
        """Finished files of the stages: layers with a row, and files derived from them."""
        here = [blob.key for folder in MADE_FOLDERS for blob in self._blobs.local_files(folder)]
        finished = [key for key in here if not key.endswith(".part")]
        if not finished:
            return []
        with self._database.read() as conn:
            known = layers.finished_paths(conn, finished)
        return [key for key in finished if key in known or key.startswith(f"{peaks.FOLDER}/")]

    def failure(self) -> str | None:
        """The reason why files wait on the spool, for the health check. Sends a request to the store. Blocking."""
        if self._blobs.objects is None:
            return None
        try:
            self._blobs.objects.check()
        except StoreUnavailableError as error:
            return f"{error}; {self.waiting} files wait on the spool"
        return None
