"""Messages between the processes of one machine: a datagram socket of each in a folder that is ours alone.

Each process binds a socket file and sends to all others it finds there. A datagram comes whole or not at all; one whose
receiver is busy is dropped, which the receiver sees from the numbers that follow. A socket nobody reads any more, since
its process died, is removed by who notices.
"""

import asyncio
import hashlib
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

from callreel.domain.errors import StoreError

log = logging.getLogger(__name__)

MAX_BYTES = 60_000
_LONGEST_ADDRESS = 100
"""Socket addresses have 104 bytes on some systems, 108 on Linux, with the zero at the end."""


class LocalLink:
    """All processes of this machine that use one folder. One event loop."""

    max_bytes = MAX_BYTES

    def __init__(self, folder: Path, name: str) -> None:
        """`name` is unlike that of any other process. Makes the folder. Raises StoreError where it cannot be used."""
        self._folder = folder
        self._file = f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.sock"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StoreError(f"the folder {folder} cannot be used: {error.strerror}") from None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind(self._address(self._file))
        except OSError as error:
            os.close(self._fd)
            self._socket.close()
            raise StoreError(f"no socket can be made in {folder}: {error.strerror or error}") from None

    async def run(self, receive: Callable[[bytes], None], gap: Callable[[], None]) -> None:
        """Give `receive` every message of the others until cancelled. `gap` is called where some may be missing."""
        loop = asyncio.get_running_loop()
        gap()
        while True:
            receive(await loop.sock_recv(self._socket, MAX_BYTES + 1))

    async def send(self, message: bytes) -> None:
        """Tell every other process that is not too busy to hear it."""
        for name in os.listdir(self._fd):
            if name.endswith(".sock") and name != self._file:
                self._send_to(name, message)

    async def close(self) -> None:
        """Be found no more."""
        if self._socket.fileno() < 0:
            return
        self._socket.close()
        self._remove(self._file)
        os.close(self._fd)

    def _send_to(self, name: str, message: bytes) -> None:
        try:
            self._socket.sendto(message, self._address(name))
        except (ConnectionRefusedError, FileNotFoundError):
            self._remove(name)
        except BlockingIOError:
            pass  # it has too much to read already
        except OSError as error:
            log.warning("a process beside us cannot be told: %s", error.strerror)

    def _remove(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            pass

    def _address(self, name: str) -> str:
        path = os.fspath(self._folder / name)
        if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
            return path
        return f"/proc/self/fd/{self._fd}/{name}"  # the same folder by a short name
