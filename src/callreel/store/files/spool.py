"""What a machine's spool is called: a name in a file of its folder, so that it stays the folder's whatever the host is called.

A spool is the data folder where there is an object store: files grow and are made there, and move on.
"""

import os
import secrets
import socket
from pathlib import Path

from callreel.store.files.durable_files import make_folder, sync_file, sync_folder

FILE = "spool-name"


def spool_name(root: Path) -> str:
    """The name of the spool at `root`, given to it now if it has none. Raises OSError."""
    path = root / FILE
    make_folder(root)
    if not path.exists():
        part = root / f".{FILE}.{secrets.token_hex(4)}.part"
        part.write_text(f"{socket.gethostname()}-{secrets.token_hex(3)}\n")
        sync_file(part)
        try:
            os.link(part, path)
            sync_folder(root)
        except FileExistsError:
            pass  # another process was quicker
        finally:
            part.unlink(missing_ok=True)
    return path.read_text().strip()
