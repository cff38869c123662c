"""The disk of the data folder: whether it can be used, and what is free."""

import os
import shutil
import tempfile
from pathlib import Path

from callreel.store.files.durable_files import make_folder, sync_file, sync_folder
from callreel.store.files.temporary_files import one_line_errors


def free_bytes(root: Path) -> int:
    """Free space on the disk of the data folder."""
    with one_line_errors(f"the data folder {root} cannot be used"):
        return shutil.disk_usage(root).free


def check_writable(root: Path) -> None:
    """Create the data folder, and try what a finished file needs: write, sync, link. Leaves nothing. Raises StoreError."""
    with one_line_errors(f"the data folder {root} cannot be used"):
        make_folder(root)
        with tempfile.TemporaryDirectory(dir=root, prefix=".check.") as folder:
            path = Path(folder) / "file"
            path.write_bytes(b"callreel")
            sync_file(path)
            os.link(path, Path(folder) / "link")
            sync_folder(Path(folder))
