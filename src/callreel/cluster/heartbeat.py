"""Which processes of an installation live, where no lock on one machine can tell: each says so in the database.

The rules were found by crashing things (reference/engine.md, section 1.2): beat before taking work; judge by who is in
the fresh set, never by a list of the known; and after being cut off from the database, or just started, wait one whole
dead time before judging others, since after an outage everybody looks dead.
"""

import asyncio
import logging
import socket
from collections.abc import Collection
from datetime import timedelta

from callreel.domain.errors import StoreError
from callreel.runtime.clock import Clock
from callreel.store.db import processes
from callreel.store.db.database import Database

log = logging.getLogger(__name__)

BEAT_EVERY_S = 5.0
DEAD_AFTER_S = 20.0
"""Four beats. With the look for dead work every 10 s, a killed worker's work goes on elsewhere within 35 s."""
_FORGET = timedelta(days=7)


class Heartbeat:
    """This process among the others. `beat` blocks for one transaction; one thread at a time."""

    def __init__(self, database: Database, name: str, kind: str, clock: Clock) -> None:
        self.name = name
        self._database = database
        self._kind = kind
        self._clock = clock
        self._beat_s: float | None = None
        self._judge_from_s = clock.monotonic_s() + DEAD_AFTER_S
        self._refused: str | None = None

    def beat(self) -> None:
        """Say that we live. Raises StoreError when the database cannot be written."""
        with self._database.write() as conn:
            processes.heartbeat(conn, self.name, self._kind, socket.gethostname())
        now_s = self._clock.monotonic_s()
        if self._beat_s is not None and now_s - self._beat_s > DEAD_AFTER_S:
            log.warning(
                "cut off from the database for %.0f s; nobody is taken for dead for a while",
                now_s - self._beat_s,
            )
            self._judge_from_s = now_s + DEAD_AFTER_S
        self._beat_s = now_s

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await asyncio.sleep(BEAT_EVERY_S)
            try:
                await asyncio.to_thread(self.beat)
                self._refused = None
            except StoreError as error:
                self._refused = str(error)

    def trouble(self) -> str | None:
        """What keeps us from writing to the database, for the health check."""
        silent_s = self._clock.monotonic_s() - self._beat_s if self._beat_s is not None else 0.0
        if self._refused is None and silent_s > DEAD_AFTER_S:
            return f"the database has not answered for {silent_s:.0f} s"
        return self._refused

    def alive(self) -> set[str] | None:
        """Who lives; None while we may not judge. Raises StoreError."""
        if self._beat_s is None or self._clock.monotonic_s() < self._judge_from_s:
            return None
        with self._database.read() as conn:
            return processes.alive(conn, timedelta(seconds=DEAD_AFTER_S)) | {self.name}

    def dead(self, among: Collection[str]) -> set[str]:
        """Those of `among` that live no more. Raises StoreError.

        Who is not in the table has left it: everybody is there before taking any work. Who is there and silent is dead
        only while we may judge.
        """
        with self._database.read() as conn:
            gone = set(among) - processes.names(conn) - {self.name}
        alive = self.alive()
        return gone if alive is None else gone | (set(among) - alive)

    def leave(self) -> None:
        """End in order, and drop what others left long ago."""
        with self._database.write() as conn:
            processes.remove(conn, self.name)
            processes.remove_stale(conn, _FORGET)
