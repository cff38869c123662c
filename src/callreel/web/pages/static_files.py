"""Style, script and sounds of the pages, compressed and cached by browsers.

Built files have a content hash in their name, and the stylesheet's address has a version, so both are immutable. Only
these public files are compressed: compressing private pages would allow BREACH.
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
IMMUTABLE: Final = "public, max-age=31536000, immutable"
ONE_HOUR: Final = "public, max-age=3600"


class CompressedFiles(StaticFiles):
    """The files of a folder; text files are sent as gzip to clients that accept it."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        if answer.status_code not in (200, 304):
            return answer
        named = path.startswith("built/") and not path.endswith((".json", ".sha256"))
        versioned = "v" in parse_qs(scope["query_string"].decode("latin-1"))
        answer.headers["Cache-Control"] = IMMUTABLE if named or versioned else ONE_HOUR
        if Path(path).suffix not in COMPRESSED:
            return answer
        answer.headers["Vary"] = "Accept-Encoding"
        if (
            isinstance(answer, FileResponse)
            and scope["method"] == "GET"
            and _accepts_gzip(Headers(scope=scope))
        ):
            body = await asyncio.to_thread(_compressed, str(answer.path), answer.headers["etag"])
            kept = {name: answer.headers[name] for name in ("cache-control", "last-modified", "vary")}
            # A weak ETag: the compressed file is equivalent to the original, not identical (RFC 9110, section 8.8.1).
            head = {**kept, "Content-Encoding": "gzip", "ETag": f"W/{answer.headers['etag']}"}
            return Response(body, headers=head, media_type=answer.media_type)
        return answer


def _accepts_gzip(headers: Headers) -> bool:
    codings = [part.replace(" ", "") for part in headers.get("accept-encoding", "").lower().split(",")]
    return "range" not in headers and any(part in ("gzip", "*") or _accepts(part) for part in codings)


def _accepts(part: str) -> bool:
    """Whether a coding such as `gzip;q=0.5` is gzip with a weight above zero."""
    name, _, weight = part.partition(";q=")
    return name == "gzip" and weight not in ("", "0", "0.0", "0.00", "0.000")


@lru_cache(maxsize=256)
def _compressed(path: str, etag: str) -> bytes:
    """The file's bytes in gzip; `etag` says which state of it."""
    return gzip.compress(Path(path).read_bytes(), 9, mtime=0)
