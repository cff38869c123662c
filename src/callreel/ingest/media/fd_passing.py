"""What a server and its media workers say to each other: sockets and one order this way, figures that way.

Both ends hold one end of a socket pair that keeps messages apart (AF_UNIX, SOCK_SEQPACKET). A connection is handed over
with the request that it began with, by `SCM_RIGHTS` (unix(7)): from then on the kernel gives its bytes to the worker, and
the server never sees one. Who finds the other end gone knows that the process is.
"""

import socket
from dataclasses import dataclass

import msgspec

MAX_BYTES = 70_000
"""Of one message: a request's head is at most 64 KiB."""
_DRAIN = b"D"
_CONNECTION = b"C"


class Figures(msgspec.Struct):
    """A worker's state, told once a second, and when it is to drain. `taken` counts the connections it was given,
    `counted` is all that it counted.

    `name` is that of its process among the installation's.
    """

    name: str
    calls: int = 0
    taken: int = 0
    draining: bool = False
    finals_waiting: int = 0
    lag_ms: int = 0
    partials_shed: int = 0
    overload: int = 0
    finals_spilled: int = 0
    spilled_total: int = 0
    counted: dict[str, int] = {}


_decoder = msgspec.json.Decoder(Figures)


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection that is ours now, and what was read from it."""

    fd: int
    request: bytes


@dataclass(frozen=True, slots=True)
class Drain:
    """Take no more new calls."""


def pair() -> tuple[socket.socket, socket.socket]:
    """The server's end, which never blocks, and the worker's, which a child may be given."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.set_inheritable(True)
    return ours, theirs


def hand_over(control: socket.socket, fd: int, request: bytes) -> None:
    """Give a connection to the worker behind `control`. Raises OSError when it takes nothing now."""
    socket.send_fds(control, [_CONNECTION + request], [fd])


def ask_to_drain(control: socket.socket) -> None:
    """Raises OSError."""
    control.send(_DRAIN)


def received(control: socket.socket) -> Connection | Drain | None:
    """The server's next word; None when it is gone. Raises BlockingIOError when there is none yet."""
    data, fds, _, _ = socket.recv_fds(control, MAX_BYTES, 1)
    if not data:
        return None
    if data[:1] == _DRAIN:
        return Drain()
    return Connection(fds[0], data[1:])


def report(control: socket.socket, figures: Figures) -> None:
    """Raises OSError."""
    control.send(msgspec.json.encode(figures))


def reported(control: socket.socket) -> Figures | None:
    """The worker's next figures; None when it is gone. Raises BlockingIOError when there are none yet."""
    try:
        data = control.recv(MAX_BYTES)
    except ConnectionError:
        return None
    return _decoder.decode(data) if data else None
