"""A server that speaks S3, in a separate process on loopback: moto, whose conditional writes, listings and multipart
uploads behave as the real ones do (reference/engine.md, section 4). It keeps everything in memory and checks no signature.
"""

import select
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from callreel.store.files.object_store import ObjectStore, open_object_store

BUCKET = "calls"
START_S = 60.0


class Wire:
    """A loopback port forwarded to another one. While it is cut it refuses connections."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self.mend()

    def mend(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        listener, self._listener = self._listener, None
        for end in (*([listener] if listener else []), *self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to_port))
                self._open |= {near, far}
                threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        other = {near: far, far: near}
        with suppress(OSError, ValueError):
            while True:
                for end in select.select([near, far], [], [])[0]:
                    data = end.recv(1 << 16)
                    if not data:
                        return
                    other[end].sendall(data)
        for end in (near, far):
            end.close()
        self._open -= {near, far}


class S3Server:
    """A bucket, reached through a connection that a test can cut."""

    def __init__(self, port: int, wire: Wire) -> None:
        self._port = port
        self.wire = wire

    def empty(self) -> None:
        """Delete everything and recreate the bucket."""
        base = f"http://127.0.0.1:{self._port}"
        for method, address in (("POST", f"{base}/moto-api/reset"), ("PUT", f"{base}/{BUCKET}")):
            urllib.request.urlopen(urllib.request.Request(address, method=method), timeout=START_S).read()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.wire.port}"

    @property
    def settings(self) -> dict[str, str]:
        """The environment of a Callreel that stores its audio here."""
        return {
            "CALLREEL_OBJECT_STORE_URL": f"s3://{BUCKET}/reel",
            "CALLREEL_OBJECT_STORE_OPTIONS": f"endpoint={self.endpoint},region=us-east-1",
            "CALLREEL_OBJECT_STORE_KEY_ID": "somebody",
            "CALLREEL_OBJECT_STORE_SECRET": "anything",
            "CALLREEL_OBJECT_STORE_TIMEOUT_S": "20",
        }

    def store(self, prefix: str = "reel") -> ObjectStore:
        """A new client."""
        return open_object_store(
            f"s3://{BUCKET}/{prefix}",
            {"endpoint": self.endpoint, "region": "us-east-1"},
            key_id="somebody",
            secret="anything",
            timeout_s=20,
        )


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Running, with an empty bucket."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wire = Wire(port)
    server = S3Server(port, wire)
    try:
        until = time.monotonic() + START_S
        while True:
            try:
                server.empty()
                break
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None and time.monotonic() < until, "the S3 server did not start"
                time.sleep(0.05)
        yield server
    finally:
        wire.cut()
        process.kill()
        process.wait()
