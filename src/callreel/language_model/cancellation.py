"""Cancelling the requests of one piece of work: the one under way is cut off, and no other is sent."""

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from callreel.domain.errors import CallreelError


class CancelledRequestError(CallreelError):
    """The person who asked cancelled, or left."""

    def __init__(self) -> None:
        super().__init__("cancelled")


class Cancellation:
    """Safe from any thread. One request at a time uses it."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def cancel(self) -> None:
        self._cancelled.set()
        self._cut()

    def check(self) -> None:
        """Raises CancelledRequestError."""
        if self._cancelled.is_set():
            raise CancelledRequestError

    def sleep(self, seconds: float) -> bool:
        """Whether it was cancelled meanwhile."""
        return self._cancelled.wait(seconds)

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """The `trace` extension of a request, by which httpcore reports its connection."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
            if self._cancelled.is_set():
                self._cut()

    def _cut(self) -> None:
        """End the wait of the thread that reads: closing the socket would not, and is that thread's business."""
        with self._lock, suppress(OSError):  # the connection is closed already
            if self._socket is not None:
                # Not the method of a TLS socket, which also drops what that thread is using.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
