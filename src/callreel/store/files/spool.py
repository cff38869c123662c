"""The name of a spool, in a file of its folder, so that it does not depend on the name of the host.

With an object store the data folder is a spool: files grow and are completed there before they move.
"""

import os
import secrets
import socket
from pathlib import Path

from callreel.store.files.durable_files import make_folder, sync_file, sync_folder

FILE = "spool-name"


def spool_name(root: Path) -> str:
    """The name of the spool at `root`, assigned at the first call. Raises OSError."""
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
            pass  # another process has assigned one meanwhile
        finally:
            part.unlink(missing_ok=True)
    return path.read_text().strip()
