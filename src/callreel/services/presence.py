"""Which processes of this installation live on this machine: each holds a lock on a file of its own.

The kernel lets go of a lock when its process dies, whatever it died of, so nothing has to be believed or timed out.
It says nothing about other machines.
"""

import fcntl
import os
from pathlib import Path

from callreel.domain.errors import StoreError

SERVER = "server"


class Presence:
    """Locks in one folder. Held until `leave`, or until the process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def enter(self, name: str) -> bool:
        """Hold `name`; False when another process does."""
        fd = os.open(self._folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._held[name] = fd
        return True

    def enter_as_server(self) -> None:
        """One server a data folder, since it owns the live calls there. Raises StoreError when there is one."""
        if not self.enter(SERVER):
            raise StoreError(
                f"another callreel serve runs on the data folder {self._folder.parent}; stop it, or set CALLREEL_DATA_DIR"
            )

    def alive(self) -> set[str]:
        """Names that some process holds now; locks of the dead are removed."""
        living = set(self._held)
        for path in self._folder.glob("*.lock"):
            if path.stem in living:
                continue
            try:
                fd = os.open(path, os.O_RDWR)
            except FileNotFoundError:
                continue  # it left, or another process cleaned up
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.stem != SERVER:
                    path.unlink(missing_ok=True)
            except BlockingIOError:
                living.add(path.stem)
            finally:
                os.close(fd)
        return living

    def leave(self) -> None:
        """Let go of all."""
        for name, fd in self._held.items():
            if name != SERVER:
                (self._folder / f"{name}.lock").unlink(missing_ok=True)
            os.close(fd)
        self._held.clear()
