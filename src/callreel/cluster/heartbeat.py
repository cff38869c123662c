"""Heartbeats in the database: which processes of an installation live, where no lock on one machine can say.

The rules were found by crashing processes (reference/engine.md, section 1.2): send a heartbeat before taking work; judge
by the fresh heartbeats, never by a list of known processes; and after being cut off from the database, or just started,
wait one whole timeout before judging others, since after an outage every process looks dead.
"""

import logging
import socket
from collections.abc import Collection
from datetime import timedelta

from callreel.domain.errors import StoreError
from callreel.runtime.clock import Clock
from callreel.store.db import processes
from callreel.store.db.database import Database

log = logging.getLogger(__name__)

HEARTBEAT_EVERY_S = 5.0
DEAD_AFTER_S = 20.0
"""Four heartbeats. With a search for dead processes' work every 10 s, that work resumes elsewhere within 35 s."""
_REMOVE_AFTER = timedelta(days=7)


class Heartbeat:
    """This process among the others. Its methods block for one transaction; `beat` runs in one thread at a time."""

    def __init__(self, database: Database, name: str, kind: str, clock: Clock) -> None:
        self.name = name
        self._database = database
        self._kind = kind
        self._clock = clock
        self._beat_s: float | None = None
        self._judge_from_s = clock.monotonic_s() + DEAD_AFTER_S
        self._error: str | None = None

    def beat(self) -> None:
        """Send a heartbeat. Raises StoreError when the database cannot be written."""
        try:
            with self._database.write() as conn:
                processes.heartbeat(conn, self.name, self._kind, socket.gethostname())
        except StoreError as error:
            self._error = str(error)
            raise
        self._error = None
        now_s = self._clock.monotonic_s()
        if self._beat_s is not None and now_s - self._beat_s > DEAD_AFTER_S:
            log.warning(
                "database was unavailable for %.0f s; suspending failure detection for %.0f s",
                now_s - self._beat_s, DEAD_AFTER_S,
            )  # fmt: skip
            self._judge_from_s = now_s + DEAD_AFTER_S
        self._beat_s = now_s

    def failure(self) -> str | None:
        """Why this process cannot write to the database, for the health check."""
        silent_s = self._clock.monotonic_s() - self._beat_s if self._beat_s is not None else 0.0
        if self._error is None and silent_s > DEAD_AFTER_S:
            return f"the database has not answered for {silent_s:.0f} s"
        return self._error

    def alive(self) -> set[str] | None:
        """The names of live processes; None while this one may not judge. Raises StoreError."""
        if self._beat_s is None or self._clock.monotonic_s() < self._judge_from_s:
            return None
        with self._database.read() as conn:
            return processes.alive(conn, timedelta(seconds=DEAD_AFTER_S)) | {self.name}

    def dead(self, among: Collection[str]) -> set[str]:
        """The dead ones of `among`. Raises StoreError.

        A process without a row has left: each has one before it takes work. One with a row and no fresh heartbeat is
        dead only while this process may judge.
        """
        with self._database.read() as conn:
            gone = set(among) - processes.names(conn) - {self.name}
        alive = self.alive()
        return gone if alive is None else gone | (set(among) - alive)

    def leave(self) -> None:
        """Remove this process, and processes that died long ago. A database that is unavailable is logged, not raised."""
        try:
            with self._database.write() as conn:
                processes.remove(conn, self.name)
                processes.remove_stale(conn, _REMOVE_AFTER)
        except StoreError as error:
            log.warning("process not removed from the registry: %s", error)
