"""A media worker's end of `ingest/media/fd_passing`: each connection that it is given gets the media protocol.

It ends when the server's end of the socket pair is closed, whatever ended the server.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable

from callreel.ingest.media import fd_passing
from callreel.ingest.media.fd_passing import WorkerStatus
from callreel.ingest.media.protocol import Connections, OpenMedia, feed
from callreel.runtime.periodic import PeriodicJob

log = logging.getLogger(__name__)

REPORT_EVERY_S = 1.0


class WorkerListener:
    """One per worker. `status(taken)` is called each second; `drain` when no new call may come."""

    def __init__(
        self,
        control: socket.socket,
        open_media: OpenMedia,
        status: Callable[[int], WorkerStatus],
        drain: Callable[[], None],
    ) -> None:
        control.setblocking(False)
        self._control = control
        self._open_media = open_media
        self._status = status
        self._drain = drain
        self._taken = 0
        self._connections: Connections = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._reporting = PeriodicJob(
            name="media worker status", job=self._report, interval_s=REPORT_EVERY_S, immediately=True
        )

    async def run(self) -> None:
        """Run until the server is gone. Signals are the server's to handle: one to the whole group only drains."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        loop.add_signal_handler(signal.SIGTERM, self._drain)
        loop.add_reader(self._control.fileno(), self._receive)
        try:
            await self._reporting.run()
        finally:
            loop.remove_reader(self._control.fileno())
            self._control.close()
            for connection in list(self._connections):
                connection.shutdown()

    async def _report(self) -> None:
        try:
            fd_passing.send_status(self._control, self._status(self._taken))
        except BlockingIOError:
            pass  # the server is busy: the next one will do
        except OSError:
            self._reporting.stop()

    def _receive(self) -> None:
        while True:
            try:
                message = fd_passing.receive(self._control)
            except BlockingIOError:
                return
            except OSError:
                message = None
            if message is None:
                asyncio.get_running_loop().remove_reader(self._control.fileno())
                self._reporting.stop()
                return
            fd, request = message
            if fd is None:
                self._drain()
                self._reporting.wake()  # the server waits for the number of calls as of now
            else:
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
            log.info("media connection closed before it was opened: %s", error.strerror)
            connection.close()
            return
        feed(protocol, request)
