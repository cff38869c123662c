"""A link between processes through PostgreSQL's LISTEN and NOTIFY (its manual, "Asynchronous Notification").

It has two connections of its own that commit at once: inside a business transaction a NOTIFY would make all commits wait
for one lock, and a connection that listens can do nothing else. What is sent while the server is unavailable is lost; the
receiver is notified of the gap. LISTEN needs a session, so no pooler that switches sessions.
"""

import asyncio
import logging
from collections.abc import Callable

import psycopg

from callreel.runtime.retry import Backoff

log = logging.getLogger(__name__)

CHANNEL = "callreel"
MAX_BYTES = 7_500
"""PostgreSQL takes less than 8,000."""
QUIET_S = 15.0
"""After so long without a message, our own included, the connection is checked."""
BACKOFF = Backoff(first_s=0.4, longest_s=2.0)
RESEND_S = 2.0
"""After a failed NOTIFY, so long without another one."""


class PostgresLink:
    """All processes that use one database. One event loop."""

    max_bytes = MAX_BYTES

    def __init__(self, url: str) -> None:
        """`url`: `postgresql://user@host/name`."""
        self._url = url
        self._sender: psycopg.AsyncConnection[tuple[object, ...]] | None = None
        self._not_before_s = 0.0

    async def run(self, receive: Callable[[bytes], None], gap: Callable[[], None]) -> None:
        """See `Link.run`. Gives out this process's own messages too."""
        failed = 0
        while True:
            try:
                async with await self._connected() as listener:
                    await listener.execute(f"LISTEN {CHANNEL}")
                    if failed:
                        log.warning("LISTEN connection restored")
                    failed = 0
                    gap()
                    while True:
                        async for notification in listener.notifies(timeout=QUIET_S):
                            receive(notification.payload.encode())
                        await listener.execute("SELECT 1")
            except psycopg.Error as error:
                if not failed:
                    log.error("LISTEN connection lost: %s", type(error).__name__)
            failed += 1
            await asyncio.sleep(BACKOFF.after_s(failed))

    async def send(self, message: bytes) -> None:
        """See `Link.send`."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._not_before_s:
            return
        try:
            if self._sender is None or self._sender.closed:
                self._sender = await self._connected()
            await self._sender.execute("SELECT pg_notify(%s, %s)", (CHANNEL, message.decode()))
        except psycopg.Error:
            self._not_before_s = now_s + RESEND_S
            await self.close()

    async def close(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            await sender.close()

    async def _connected(self) -> psycopg.AsyncConnection[tuple[object, ...]]:
        return await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=5, application_name="callreel events",
            keepalives_idle=10, keepalives_interval=5, keepalives_count=3,
        )  # fmt: skip
