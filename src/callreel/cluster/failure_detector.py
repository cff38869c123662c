"""Who of an installation's processes is dead, by all that can be known of it.

On one machine the kernel knows (`services/presence`). On many the database does (`services/heartbeat`), and what the
kernel says of this machine's processes is known at once, without waiting for missing beats.
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

    def __init__(self, presence: ProcessLock, heartbeat: Heartbeat | None = None) -> None:
        """Without `heartbeat` all of them run on this machine, on one data folder."""
        self._presence = presence
        self._heartbeat = heartbeat

    def dead(self, among: Collection[str]) -> set[str]:
        """Those of `among` that are dead for certain. Raises StoreError."""
        if self._heartbeat is None:
            return set(among) - self._presence.alive()
        return (self._presence.dead() & set(among)) | self._heartbeat.dead(among)
