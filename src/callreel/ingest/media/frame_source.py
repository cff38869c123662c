"""How the messages of one media socket get from the kernel to its session: as they arrive, or read in batches.

A media stream sends 100 small messages a second, and waking up for each costs more than reading it. A stream that is
transcribed live pays for that (`TransportSource`). Any other is read once in 160 ms (`BatchedSource`), for the price of
one wake-up; the kernel's socket buffer keeps the messages meanwhile.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Protocol, cast

from callreel.ingest.media.batched_reader import BatchedReader

MAX_READS = 16
"""How often a socket is read at its turn while it holds more than fits at once; other sockets come first after that."""
FILL_PERCENT = 85
"""picows doubles its buffer when 90 % are filled, and never shrinks it: so a read fills less than that."""


class FrameSource(Protocol):
    """Where a media socket's complete messages go, and when its bytes are read."""

    accept: Callable[[bytes], None]
    """Takes a message of the WebSocket parser. An attribute, so that a message costs no further call."""

    def start(self) -> None:
        """Read from now on."""
        ...

    def stop(self) -> None:
        """Leave reading to the transport, which detects the socket's end and its errors."""
        ...

    def deliver(self) -> None:
        """Give the session what was parsed, before a message that the parser reports in another way."""
        ...

    def drain(self) -> None:
        """Give the session what the socket holds now."""
        ...


class TransportSource:
    """Each message at once, as the event loop reads it: least latency."""

    def __init__(self, transport: asyncio.ReadTransport, receive: Callable[[bytes], None]) -> None:
        self._transport = transport
        self.accept = receive

    def start(self) -> None:
        self._transport.resume_reading()

    def stop(self) -> None: ...

    def deliver(self) -> None: ...

    def drain(self) -> None: ...


class BatchedSource:
    """All messages of a period together. The transport's own reading stays paused while this reads.

    A killed process loses nothing that the kernel held: the bound on a loss is the period.
    """

    def __init__(
        self,
        reader: BatchedReader,
        transport: asyncio.Transport,
        receive_all: Callable[[list[bytes]], None],
    ) -> None:
        self._reader = reader
        self._transport = transport
        self._protocol = cast(asyncio.BufferedProtocol, transport.get_protocol())
        self._fd: int = transport.get_extra_info("socket").fileno()
        self._receive_all = receive_all
        self._messages: list[bytes] = []
        self.accept: Callable[[bytes], None] = self._messages.append
        self._reading = False

    def start(self) -> None:
        self._reading = True
        self._reader.add(self.drain)

    def stop(self) -> None:
        if self._reading:
            self._reading = False
            self._reader.remove(self.drain)
            self.accept = lambda message: self._receive_all([message])
            self._transport.resume_reading()

    def deliver(self) -> None:
        if self._messages:
            messages = self._messages.copy()
            self._messages.clear()
            self._receive_all(messages)

    def drain(self) -> None:
        # Reads past the transport: os.readv into the parser's own buffer saves the copy and the wake-up. End of stream
        # and errors are left to the transport, whose protocol handles them in one place.
        for _ in range(MAX_READS):
            if not self._reading:
                return
            room = memoryview(self._protocol.get_buffer(-1))
            room = room[: room.nbytes * FILL_PERCENT // 100]
            try:
                size = os.readv(self._fd, [room])
            except BlockingIOError:
                return
            except OSError:
                size = 0
            if not size:
                self.stop()
                return
            self._protocol.buffer_updated(size)
            self.deliver()
            if size < room.nbytes:
                return
        asyncio.get_running_loop().call_soon(self.drain)
