"""How many connections the public port holds, and how long one may wait for a request or a body.

At the cap the connection that has waited longest for its next request makes room, so half-sent requests never keep a callback
out. Media sockets leave these limits when their upgrade is taken over; `CALLREEL_MAX_CALLS` bounds them.
"""

import ipaddress
import logging
import resource
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from callreel.web.auth.origin import limited_address

log = logging.getLogger(__name__)

FILES_PER_CALL: Final = 6
"""A media socket, four growing layers, and one more while they are synced or opened."""
OTHER_FILES: Final = 256
"""Databases, engine processes, the carrier's and the object store's connections, static files."""
FEWEST: Final = 64


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Connections in all and by address; seconds for the head of a request, for its body, and for a reader that stalls.

    `proxies` are the trusted ones. They and this machine, where a tunnel ends, have no limit by address: all their clients
    share theirs.
    """

    most: int = 2000
    most_per_address: int = 200
    request_s: float = 10.0
    body_s: float = 30.0
    stalled_s: float = 300.0
    proxies: Sequence[str] = ()


DEFAULT: Final = ConnectionLimits()


class Closable(Protocol):
    def expire(self) -> None:
        """Close the connection, which has waited too long."""
        ...


class OpenConnections:
    """The open connections of one server by address, and those that wait for a request, oldest first."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._proxies = [ipaddress.ip_network(proxy) for proxy in limits.proxies]
        self._open: dict[Closable, str] = {}
        self._by_address: Counter[str] = Counter()
        self._waiting: dict[Closable, None] = {}
        self._refused = 0

    def admit(self, connection: Closable, client: tuple[str, int] | None) -> bool:
        """Whether a new connection may stay. At the cap, one that waits is closed for it."""
        address = self._counted(client)
        if address and self._by_address[address] >= self._limits.most_per_address:
            return self._refuse(f"more than {self._limits.most_per_address} from one address")
        if len(self._open) >= self._limits.most:
            oldest = next(iter(self._waiting), None)
            if oldest is None:
                return self._refuse(f"more than {self._limits.most} in all")
            self.release(oldest)
            oldest.expire()
        self._open[connection] = address
        self._by_address[address] += 1
        return True

    def mark(self, connection: Closable, *, waiting: bool) -> None:
        """Whether it waits for a request now."""
        self._waiting.pop(connection, None)
        if waiting and connection in self._open:
            self._waiting[connection] = None

    def release(self, connection: Closable) -> None:
        """Forget a connection that was lost or taken over; an unknown one is ignored."""
        self._waiting.pop(connection, None)
        address = self._open.pop(connection, None)
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def _counted(self, client: tuple[str, int] | None) -> str:
        """The address that the limit counts; empty where many clients share one."""
        if client is None:
            return ""
        try:
            address = ipaddress.ip_address(client[0])
        except ValueError:
            return limited_address(client)
        shared = address.is_loopback or any(address in proxy for proxy in self._proxies)
        return "" if shared else limited_address(client)

    def _refuse(self, reason: str) -> bool:
        self._refused += 1
        if self._refused & (self._refused - 1) == 0:  # at 1, 2, 4, 8 ...: an attack does not fill the log
            log.warning("connection refused reason=%s refused=%d", reason, self._refused)
        return False


def connections_within(open_files: int, wanted: int, max_calls: int) -> int:
    """How many connections a process with so many file descriptors may hold, so that calls always get theirs."""
    reserved = max_calls * FILES_PER_CALL + OTHER_FILES
    allowed = max(FEWEST, min(wanted, open_files - reserved))
    if allowed < wanted:
        log.warning(
            "connections limited to %d instead of %d: the process may open %d files, and %d are reserved for calls;"
            " raise its limit of open files (LimitNOFILE)",
            allowed, wanted, open_files, reserved,
        )  # fmt: skip
    return allowed


def raise_open_files() -> int:
    """Raise this process's limit of open files as far as it may, and return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 20
