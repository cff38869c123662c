"""Syncing growing layers to disk, so that they survive a power cut.

A killed process loses nothing that was written; a power cut loses what the kernel had not written out, half a minute and
more by default. The interval of `sweep` bounds that. It works by path, beside the lanes, which never wait for it.
"""

from pathlib import Path

from callreel.store.calls import layers
from callreel.store.db.database import Database
from callreel.store.files.durable_files import path_inside, sync_file, sync_file_system, sync_folder

MAX_SINGLE_SYNCS = 16
"""Up to so many files are synced one by one, which leaves alone what others wrote on the same disk."""


def sync_growing_layers(database: Database, root: Path) -> int:
    """Sync every layer that grows here. Returns how many. Blocking, as long as the disk takes."""
    with database.read() as conn:
        growing = [path_inside(root, path) for path in layers.growing_paths(conn)]
    here = [path for path in growing if path.exists()]
    folders = {path.parent for path in here}
    if len(here) > MAX_SINGLE_SYNCS and all(sync_file_system(folder) for folder in folders):
        return len(here)
    for path in here:
        sync_file(path)
    for folder in folders:
        sync_folder(folder)
    return len(here)
