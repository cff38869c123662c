"""A model hub on loopback: repositories of small files, as the hub's client asks for them.

Only what a fetch of a snapshot needs: the repository's revision, its list of files, each file's head and its bytes.
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class ModelHub:
    """`repositories`: owner/name to file names to bytes. `asked` are the paths of the requests."""

    repositories: Mapping[str, Mapping[str, bytes]]
    url: str = ""
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving(repositories: Mapping[str, Mapping[str, bytes]]) -> Iterator[ModelHub]:
    hub = ModelHub(repositories)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            hub.asked.append(path)
            for name, files in hub.repositories.items():
                if path.startswith(f"/api/models/{name}"):
                    self._send(json.dumps(_listing(path, name, files)).encode(), "application/json", body)
                    return
                file = path.removeprefix(f"/{name}/resolve/{COMMIT}/")
                if file in files:
                    self._send(files[file], "application/octet-stream", body)
                    return
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _send(self, data: bytes, kind: str, body: bool) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        hub.url = f"http://127.0.0.1:{server.server_port}"
        yield hub
        server.shutdown()
        thread.join()


def _listing(path: str, name: str, files: Mapping[str, bytes]) -> object:
    if "/tree/" in path:
        return [
            {"type": "file", "path": file, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for file, data in files.items()
        ]
    return {"id": name, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]}
