"""Temporary files beside the file that they become: locked while their process lives, so that others delete those of dead ones."""

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from callreel.domain.errors import StoreError

PART = ".part"


def remove_stale_parts(folder: Path) -> None:
    """Delete temporary files in a folder whose process died. Raises StoreError."""
    with one_line_errors(f"stale temporary files in {folder} cannot be deleted"):
        remove_unlocked(folder.glob(f".*{PART}"))


@contextmanager
def one_line_errors(what: str) -> Iterator[None]:
    """Turn errors of the operating system into a StoreError of one line."""
    try:
        yield
    except OSError as error:
        hint = "; its file system has no hard links" if error.errno in (errno.EPERM, errno.ENOTSUP) else ""
        raise StoreError(f"{what}: {error.strerror}{hint}") from error


def locked_part(path: Path) -> tuple[int, Path]:
    """A temporary file for `path`. Its lock shows other processes that this one is alive."""
    while True:
        fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return fd, Path(name)
        os.close(fd)  # another process deleted it as stale before it was locked


def remove_unlocked(parts: Iterable[Path]) -> None:
    """Delete the temporary files of dead processes: the kernel has released their locks."""
    for part in parts:
        try:
            fd = os.open(part, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink(missing_ok=True)
        except BlockingIOError:
            pass  # its process is alive
        finally:
            os.close(fd)
