"""A media worker's side of `handing_over`: connections come in by the socket pair, and each gets the media protocol.

It ends when the server's end of the pair is gone, whatever that one died of.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable

from callreel.ingest.media import fd_passing
from callreel.ingest.media.fd_passing import Connection, Drain, Figures
from callreel.ingest.media.one_port import give
from callreel.ingest.media.protocol import Connections, OpenMedia

log = logging.getLogger(__name__)

REPORT_EVERY_S = 1.0


class WorkerListener:
    """One a worker. `figures(taken)` is asked for each second; `drain` is called when no new call may come."""

    def __init__(
        self,
        control: socket.socket,
        open_media: OpenMedia,
        figures: Callable[[int], Figures],
        drain: Callable[[], None],
    ) -> None:
        control.setblocking(False)
        self._control = control
        self._open_media = open_media
        self._figures = figures
        self._drain = drain
        self._taken = 0
        self._connections: Connections = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._closed = asyncio.Event()

    async def run(self) -> None:
        """Until the server is gone. Signals are the server's business: one to the whole group only drains."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        loop.add_signal_handler(signal.SIGTERM, self._drain)
        loop.add_reader(self._control.fileno(), self._hear)
        try:
            while not self._closed.is_set():
                self._report()
                try:
                    async with asyncio.timeout(REPORT_EVERY_S):
                        await self._closed.wait()
                except TimeoutError:
                    pass
        finally:
            loop.remove_reader(self._control.fileno())
            self._control.close()
            for socket_ in list(self._connections):
                socket_.shutdown()

    def _report(self) -> None:
        try:
            fd_passing.report(self._control, self._figures(self._taken))
        except BlockingIOError:
            pass  # the server is busy; the next ones will do
        except OSError:
            self._closed.set()

    def _hear(self) -> None:
        while True:
            try:
                word = fd_passing.received(self._control)
            except BlockingIOError:
                return
            except OSError:
                word = None
            match word:
                case None:
                    self._closed.set()
                    asyncio.get_running_loop().remove_reader(self._control.fileno())
                    return
                case Drain():
                    self._drain()
                    self._report()  # the server waits for what goes on here now
                case Connection(fd, request):
                    self._taken += 1
                    opening = asyncio.create_task(self._open(socket.socket(fileno=fd), request))
                    self._opening.add(opening)
                    opening.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket, request: bytes) -> None:
        connection.setblocking(False)
        try:
            _, protocol = await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._open_media(self._connections), connection
            )
        except OSError as error:
            log.info("a connection was gone when it came: %s", error.strerror)
            connection.close()
            return
        give(protocol, request)
