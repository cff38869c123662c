"""What protects a process's data from other users: new files that only that user can read, and no audio or secret in a core dump.

Child processes inherit all of it.
"""

import os
import resource
from contextlib import suppress
from pathlib import Path

UMASK = 0o077


def keep_private() -> None:
    """For this process and the ones that it starts."""
    os.umask(UMASK)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The kernel ignores the limit where a program collects dumps; an empty filter leaves memory out of them (core(5)).
    with suppress(OSError):
        Path("/proc/self/coredump_filter").write_text("0")


def open_to_others(folder: Path) -> bool:
    """Whether other users of this machine may enter or read an existing folder or file."""
    return folder.exists() and bool(folder.stat().st_mode & 0o077)
