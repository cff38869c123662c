"""Process locks: which processes of this installation live on this machine. Each holds a lock on a file of its own.

The kernel releases a lock when its process dies, whatever the cause, so no timeout is involved. Says nothing about other
machines.
"""

import fcntl
import os
import time
from pathlib import Path

from callreel.domain.errors import StoreError

SERVER = "server"
KEEP_S = 86_400.0
"""How long the lock file of a dead process is kept as proof of its death."""


class ProcessLock:
    """Locks in one folder. Held until `leave`, or until the process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def enter(self, name: str) -> bool:
        """Lock `name`; False when another process holds it."""
        fd = os.open(self._folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._held[name] = fd
        return True

    def enter_as_server(self) -> None:
        """Allow one server per data folder where the database is a file there. Raises StoreError when there is one."""
        if not self.enter(SERVER):
            raise StoreError(
                f"another callreel serve runs on the data folder {self._folder.parent}; stop it, or set CALLREEL_DATA_DIR"
            )

    def alive(self) -> set[str]:
        """Names that a live process holds."""
        return self._look()[0]

    def dead(self) -> set[str]:
        """Names whose process died on this machine without leaving, for at least `KEEP_S`."""
        return self._look()[1]

    def _look(self) -> tuple[set[str], set[str]]:
        """The living and the dead. Removes the files of those that died long ago."""
        living, dead = set(self._held), set[str]()
        for path in self._folder.glob("*.lock"):
            if path.stem in living:
                continue
            try:
                fd = os.open(path, os.O_RDWR)
            except FileNotFoundError:
                continue  # it left, or another process cleaned up
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                dead.add(path.stem)
                if path.stem != SERVER and time.time() - os.fstat(fd).st_mtime > KEEP_S:
                    path.unlink(missing_ok=True)
            except BlockingIOError:
                living.add(path.stem)
            finally:
                os.close(fd)
        return living, dead - {SERVER}

    def leave(self) -> None:
        """Release all locks."""
        for name, fd in self._held.items():
            if name != SERVER:
                (self._folder / f"{name}.lock").unlink(missing_ok=True)
            os.close(fd)
        self._held.clear()
