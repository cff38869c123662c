"""A scripted carrier REST API on loopback: each path has a list of answers, the last of which repeats."""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from callreel.domain.errors import CarrierError
from callreel.twilio.rest_resources import RecordingResource

_RANGE = re.compile(r"bytes=(\d+)-")


@dataclass(frozen=True, slots=True)
class Answer:
    """`cut_at`: the connection breaks after so many bytes of the body. `ranges`: honour a Range header. `stays`: it comes
    only when the server ends.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    stays: bool = False
    ranges: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """A received request; `path` includes the query, `body` is that of a POST."""

    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(slots=True)
class RestServer:
    url: str
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def put(self, path: str, *answers: Answer) -> None:
        self.answers[path] = list(answers)

    def answer(self, request: Seen) -> Answer:
        self.seen.append(request)
        waiting = self.answers.get(request.path) or self.answers.get(request.path.partition("?")[0])
        if not waiting:
            return Answer(404, b'{"code": 20404}')
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


@contextmanager
def rest_server() -> Iterator[RestServer]:
    server: RestServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # noqa: N802
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = server.answer(Seen(self.path, dict(self.headers), body))
            if answer.stays:
                server.ended.wait()
            status, body, headers = answer.status, answer.body, dict(answer.headers)
            wanted = _RANGE.fullmatch(self.headers.get("Range", "")) if answer.ranges else None
            if wanted and int(wanted[1]) >= len(body):
                status, body = 416, b""
            elif wanted:
                start = int(wanted[1])
                headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                status, body = 206, body[start:]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            with suppress(ConnectionError):  # the client may have disconnected
                self.wfile.write(body if answer.cut_at is None else body[: answer.cut_at])
            self.close_connection = True

        do_DELETE = do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server = RestServer(f"http://127.0.0.1:{listening.server_address[1]}")
        thread = threading.Thread(target=lambda: listening.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            listening.shutdown()
            thread.join()


def recordings_of(body: object) -> tuple[tuple[RecordingResource, ...], str | None]:
    """The recordings of one page of the carrier's list, and the path of the next page, None on the last."""
    items = body.get("recordings") if isinstance(body, Mapping) else None
    if not isinstance(body, Mapping) or not isinstance(items, list):
        raise CarrierError("the carrier's list of recordings is not one", retryable=False)
    return tuple(RecordingResource.from_json(item) for item in items), body.get("next_page_uri")
