"""A model hub on loopback: repositories of small files, as the hub's client asks for them.

Only what a fetch of a snapshot needs: the repository's revision, its list of files, each file's head and its bytes.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.asr.stub_server import QuietHandler, stub_server

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

    class Handler(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802
            self._answer(body=True)

        def do_HEAD(self) -> None:  # noqa: N802
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
            self.reply(404, b"", X_Error_Code="RepoNotFound")

        def _send(self, data: bytes, kind: str, body: bool) -> None:
            tag = f'"{hashlib.sha1(data).hexdigest()}"'
            self.reply(200, data, kind, body=body, ETag=tag, X_Repo_Commit=COMMIT)

    with stub_server(Handler) as url:
        hub.url = url
        yield hub


def _listing(path: str, name: str, files: Mapping[str, bytes]) -> object:
    if "/tree/" in path:
        return [
            {"type": "file", "path": file, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for file, data in files.items()
        ]
    return {"id": name, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]}
