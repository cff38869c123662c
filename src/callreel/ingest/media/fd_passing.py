"""File-descriptor passing between a server and its media workers: connections one way, worker status the other.

Both hold one end of an AF_UNIX socket pair of type SOCK_SEQPACKET, which keeps messages apart. A message with a
descriptor (`SCM_RIGHTS`, unix(7)) is a connection and the upgrade request that was read from it: from then on the kernel
gives the connection's bytes to the worker, and the server sees none. A message without one orders the worker to drain.
A process that finds the other end closed knows that the other process has ended.
"""

import socket

import msgspec

MAX_BYTES = 70_000
"""Of one message: a request's head is at most 64 KiB."""
_DRAIN = b"D"
_CONNECTION = b"C"


class WorkerStatus(msgspec.Struct):
    """What a worker reports each second, and when it is ordered to drain.

    `name`: its process among the installation's. `taken`: the connections it was given. `gauges` and `counted`: what
    the server adds to its own metrics.
    """

    name: str
    calls: int = 0
    taken: int = 0
    draining: bool = False
    gauges: dict[str, int] = {}
    counted: dict[str, int] = {}


_decoder = msgspec.json.Decoder(WorkerStatus)


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """The server's end, which never blocks, and the worker's, which a child process may inherit."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.set_inheritable(True)
    return ours, theirs


def send_connection(control: socket.socket, fd: int, request: bytes) -> None:
    """Give a connection to the worker behind `control`. Raises OSError when the worker takes none now."""
    socket.send_fds(control, [_CONNECTION + request], [fd])


def send_drain(control: socket.socket) -> None:
    """Tell the worker to take no new calls. Raises OSError."""
    control.send(_DRAIN)


def receive(control: socket.socket) -> tuple[int | None, bytes] | None:
    """The worker's next message: a connection's descriptor with its request, or (None, b"") for an order to drain.

    None when the server has ended. Raises BlockingIOError when there is no message.
    """
    data, fds, _, _ = socket.recv_fds(control, MAX_BYTES, 1)
    if not data:
        return None
    return (fds[0], data[1:]) if data[:1] == _CONNECTION else (None, b"")


def send_status(control: socket.socket, status: WorkerStatus) -> None:
    """Raises OSError."""
    control.send(msgspec.json.encode(status))


def receive_status(control: socket.socket) -> WorkerStatus | None:
    """The worker's next status; None when it has ended. Raises BlockingIOError when there is none."""
    try:
        data = control.recv(MAX_BYTES)
    except ConnectionError:
        return None
    return _decoder.decode(data) if data else None
