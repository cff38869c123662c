"""A back-off that all processes of this machine share which send requests to the same server with the same key.

An empty file in the temporary folder whose modification time is the end of the pause; files of other users are ignored. It is
no rate limit: it starts when the server answers that requests come too often.
"""

import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LONGEST_S = 60.0
"""Also where the server demands more: a job times out after two minutes."""


class SharedPause:
    """Identified by the server's address and the key. Without a writable folder there is no shared pause, and no error."""

    def __init__(self, *identity: str, folder: Path | None = None) -> None:
        digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:24]
        self._path = Path(folder or tempfile.gettempdir(), f"callreel-pause-{os.getuid()}-{digest}")

    def begin(self, seconds: float) -> None:
        """No requests for so long from now; an earlier pause that ends later stays."""
        until_s = time.time() + min(max(seconds, 0.0), LONGEST_S)
        with suppress(OSError):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                found = os.fstat(descriptor)
                if found.st_uid == os.getuid() and found.st_mtime < until_s:
                    os.utime(descriptor, (until_s, until_s))
            finally:
                os.close(descriptor)

    @property
    def left_s(self) -> float:
        """How long it still lasts, 0 to LONGEST_S."""
        try:
            found = self._path.lstat()
        except OSError:
            return 0.0
        if found.st_uid != os.getuid() or not stat.S_ISREG(found.st_mode):
            return 0.0
        left_s = found.st_mtime - time.time()
        return left_s if 0 < left_s <= LONGEST_S else 0.0  # a clock that was set back makes no long pause

    def keep(self, sleep: Callable[[float], object] = time.sleep) -> None:
        """Wait until it is over, also if it is made longer meanwhile; blocks for LONGEST_S at most.

        `sleep` returns true to end the wait.
        """
        give_up_s = time.monotonic() + LONGEST_S
        while (left_s := self.left_s) > 0 and time.monotonic() < give_up_s:
            if sleep(left_s):
                return
