"""An HTTP server of a test's own, on a free port of loopback, for as long as a context lasts."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class QuietHandler(BaseHTTPRequestHandler):
    """Requests without a word on the terminal."""

    def reply(
        self, status: int, data: bytes, kind: str = "application/json", *, body: bool = True, **headers: str
    ) -> None:
        """One whole answer; `headers` by their names with underlines. Without `body` only its length is reported."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def stub_server(handler: type[QuietHandler]) -> Iterator[str]:
    """The server's URL, without a slash at the end."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
