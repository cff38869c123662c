"""Making growing layers outlive a power cut: every few seconds what was written goes down to the disk.

A kill loses nothing that was written; a power cut loses what the kernel had not yet written out, half a minute and more
by itself. So the bound on what a cut can take is `every_s`. It works by path, beside the lanes, which never wait for it.
"""

import asyncio
import logging
from pathlib import Path

from callreel.store.calls import layers
from callreel.store.db.database import Database
from callreel.store.files.durable_files import sync_file, sync_file_system, sync_folder

FEW = 16
"""Up to so many files are synced one by one, which leaves what others wrote on the same disk alone."""

log = logging.getLogger(__name__)


class LayerSync:
    """One task. What it cannot sync is logged and tried again; the lanes themselves notice a failing disk."""

    def __init__(self, database: Database, root: Path, every_s: float) -> None:
        self._database = database
        self._root = root
        self._every_s = every_s

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await asyncio.to_thread(self.sweep)
            except Exception as error:
                log.error("live layers could not be synced: %s", error)

    def sweep(self) -> int:
        """Sync every layer that grows here; answers how many. Blocking, as long as the disk takes."""
        with self._database.read() as conn:
            growing = [self._root / path for path in layers.growing_paths(conn)]
        here = [path for path in growing if path.exists()]
        folders = {path.parent for path in here}
        if len(here) > FEW and all(sync_file_system(folder) for folder in folders):
            return len(here)
        for path in here:
            sync_file(path)
        for folder in folders:
            sync_folder(folder)
        return len(here)
