"""Style, script and sounds of the pages: small on the way, and kept by browsers as long as their name holds.

Built files are named after their content, and the style's address has the version of all of them, so both may be kept
for good. Only these public files are compressed: pages hold what people may read, and are not (BREACH).
"""

import asyncio
import gzip
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

COMPRESSED: Final = frozenset({".css", ".js", ".json", ".svg"})
FOR_GOOD: Final = "public, max-age=31536000, immutable"
A_WHILE: Final = "public, max-age=3600"


class CompressedFiles(StaticFiles):
    """The files of a folder; those that are text go out in gzip to who understands it."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        if answer.status_code not in (200, 304):
            return answer
        named = path.startswith("built/") and not path.endswith((".json", ".sha256"))
        versioned = "v" in parse_qs(scope["query_string"].decode("latin-1"))
        answer.headers["Cache-Control"] = FOR_GOOD if named or versioned else A_WHILE
        if Path(path).suffix not in COMPRESSED:
            return answer
        answer.headers["Vary"] = "Accept-Encoding"
        if (
            isinstance(answer, FileResponse)
            and scope["method"] == "GET"
            and _takes_gzip(Headers(scope=scope))
        ):
            body = await asyncio.to_thread(_compressed, str(answer.path), answer.headers["etag"])
            kept = {name: answer.headers[name] for name in ("cache-control", "last-modified", "vary")}
            # Weak: the same file in another coding is the same for who asks whether it has changed.
            head = {**kept, "Content-Encoding": "gzip", "ETag": f"W/{answer.headers['etag']}"}
            return Response(body, headers=head, media_type=answer.media_type)
        return answer


def _takes_gzip(headers: Headers) -> bool:
    asked = [part.replace(" ", "") for part in headers.get("accept-encoding", "").lower().split(",")]
    return "range" not in headers and any(part in ("gzip", "*") or _wants(part) for part in asked)


def _wants(part: str) -> bool:
    """Of `gzip;q=0.5`: whether the weight is more than nothing."""
    name, _, weight = part.partition(";q=")
    return name == "gzip" and weight not in ("", "0", "0.0", "0.00", "0.000")


@lru_cache(maxsize=256)
def _compressed(path: str, etag: str) -> bytes:
    """The file's bytes in gzip; `etag` says which state of it."""
    return gzip.compress(Path(path).read_bytes(), 9, mtime=0)
