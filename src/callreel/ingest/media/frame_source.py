"""How the messages of one media socket get from the kernel to its session: as they arrive, or read in batches.

A media stream sends 100 small messages a second, and waking up for each costs more than reading it. A stream that is
transcribed live pays for that (`FrameSource`). Any other is read once in 160 ms (`BatchedSource`), for the price of
one wake-up; the socket buffer in the kernel keeps the messages meanwhile.
"""

import asyncio
import os
from collections.abc import Callable
from typing import cast

from callreel.ingest.media.batched_reader import BatchedReader

MAX_READS = 16
"""How often a socket is read at its turn while it holds more than fits at once; other sockets come first after that."""
FILL_PERCENT = 85
"""picows doubles its buffer when 90 % are filled, and never shrinks it: so a read fills less than that."""


class FrameSource:
    """Delivers each message at once, as the event loop reads it: least latency. `BatchedSource` is the other way."""

    def __init__(self, transport: asyncio.Transport, receive: Callable[[bytes], None]) -> None:
        self._transport = transport
        self.accept = receive
        """Takes a complete message of the WebSocket parser. An attribute, so that a message costs no further call."""

    def start(self) -> None:
        """Read from now on."""
        self._transport.resume_reading()

    def stop(self) -> None:
        """Leave reading to the transport, which detects the socket's end and its errors."""

    def deliver(self) -> None:
        """Give the session what was parsed, before a message that the parser reports in another way."""

    def drain(self) -> None:
        """Give the session what the socket holds now."""


class BatchedSource(FrameSource):
    """All messages of a period together. The transport's own reading stays paused while this reads.

    A killed process loses what its socket buffers hold: one period at most.
    """

    def __init__(
        self, reader: BatchedReader, transport: asyncio.Transport, receive_all: Callable[[list[bytes]], None]
    ) -> None:
        self._messages: list[bytes] = []
        super().__init__(transport, self._messages.append)
        self._reader = reader
        self._protocol = cast(asyncio.BufferedProtocol, transport.get_protocol())
        self._fd: int = transport.get_extra_info("socket").fileno()
        self._receive_all = receive_all
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
