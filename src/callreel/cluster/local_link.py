"""A link between the processes of one machine: each binds a datagram socket in a folder that only this user can read.

A process sends to all other sockets it finds there. A datagram arrives whole or not at all; one whose receiver is busy is
dropped, which the receiver notices by the numbers that follow. The first sender that notices a dead process removes its
socket file.
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
_MAX_ADDRESS = 100
"""Socket addresses have 104 bytes on some systems, 108 on Linux, with the terminating zero."""


class LocalLink:
    """All processes of this machine that use one folder. One event loop."""

    max_bytes = MAX_BYTES

    def __init__(self, folder: Path, name: str) -> None:
        """`name` is unique among the processes. Makes the folder. Raises StoreError where it cannot be used."""
        self._folder = folder
        self._file = f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.sock"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StoreError(f"cannot use the folder {folder}: {error.strerror}") from None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind(self._address(self._file))
        except OSError as error:
            os.close(self._fd)
            self._socket.close()
            raise StoreError(f"cannot make a socket in {folder}: {error.strerror or error}") from None

    async def run(self, receive: Callable[[bytes], None], gap: Callable[[], None]) -> None:
        """See `Link.run`."""
        loop = asyncio.get_running_loop()
        gap()
        while True:
            receive(await loop.sock_recv(self._socket, MAX_BYTES + 1))

    async def send(self, message: bytes) -> None:
        """See `Link.send`."""
        for name in os.listdir(self._fd):
            if name.endswith(".sock") and name != self._file:
                self._send_to(name, message)

    async def close(self) -> None:
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
            pass  # its buffer is full
        except OSError as error:
            log.warning("message to another process failed: %s", error.strerror)

    def _remove(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            pass

    def _address(self, name: str) -> str:
        path = os.fspath(self._folder / name)
        if len(os.fsencode(path)) <= _MAX_ADDRESS:
            return path
        return f"/proc/self/fd/{self._fd}/{name}"  # the same folder by a short name
