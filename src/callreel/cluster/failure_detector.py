"""Failure detection: which of an installation's processes are dead.

On one machine the kernel's locks say so (`cluster/process_lock`). On many the database does (`cluster/heartbeat`); the
locks still report this machine's dead at once, before their heartbeats are missing.
"""

import os
import secrets
import socket
from collections.abc import Collection

from callreel.cluster.heartbeat import Heartbeat
from callreel.cluster.process_lock import ProcessLock


def new_name() -> str:
    """A name for this process that no other has or had: `host-pid-random`."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class FailureDetector:
    """The processes of one installation, seen from one of them. Blocking."""

    def __init__(self, lock: ProcessLock, heartbeat: Heartbeat | None = None) -> None:
        """Without `heartbeat` all of them run on this machine, on one data folder."""
        self._lock = lock
        self._heartbeat = heartbeat

    def dead(self, among: Collection[str]) -> set[str]:
        """Those of `among` that are dead for certain. Raises StoreError."""
        if self._heartbeat is None:
            return set(among) - self._lock.alive()
        return (self._lock.dead() & set(among)) | self._heartbeat.dead(among)
