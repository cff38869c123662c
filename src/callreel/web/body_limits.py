"""Limits of request bodies by route: bytes (413), and depth and items of JSON (422). Forms have the limit of bytes.

A body is measured piece by piece while the route reads it, so what exceeds a limit is never held in memory. Without this a
deep document would exhaust the parser's stack, and a wide one would be parsed before its model refuses it.
"""

import re
from dataclasses import dataclass
from typing import Final

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from callreel.web.auth.gate import SIGNED
from callreel.web.errors import error_response

_NOT_JSON: Final = ("application/x-www-form-urlencoded", "multipart/form-data", "audio/wav")
_MARK: Final = re.compile(rb'["\[\]{},]')
_INSIDE_STRING: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """The most that a body may have. An item is an element of an array or a field of an object."""

    size_bytes: int = 65_536
    depth: int = 4
    items: int = 100

    @property
    def too_large(self) -> str:
        return f"The body has more than {self.size_bytes} bytes."


DEFAULT: Final = BodyLimit()
LARGER: Final = (
    ("POST", compile_path("/api/v1/calls/{call_id}/revisions")[0], BodyLimit(1 << 18, items=6_000)),
    ("PUT", compile_path("/api/v1/vocabulary")[0], BodyLimit(1 << 19, items=2_000)),
    ("PUT", compile_path("/api/v1/consent")[0], BodyLimit(1 << 19, depth=6, items=6_000)),
    ("POST", compile_path("/api/v1/consent/preview")[0], BodyLimit(1 << 19, depth=7, items=6_000)),
    ("POST", compile_path("/api/v1/scorecards")[0], BodyLimit(1 << 17, items=500)),
    ("POST", compile_path("/api/v1/scorecards/{scorecard_id}/versions")[0], BodyLimit(1 << 17, items=500)),
    (
        "PUT",
        compile_path("/api/v1/calls/{call_id}/scorecards/{review_id}")[0],
        BodyLimit(1 << 19, items=1_000),
    ),
    (
        "POST",
        compile_path("/api/v1/calls/{call_id}/scorecards/{review_id}/{step}")[0],
        BodyLimit(1 << 19, items=1_000),
    ),
    ("POST", compile_path("/api/v1/consent/sounds")[0], BodyLimit(1 << 20)),
)
"""Routes with another limit: a revision has up to 1,000 changes, the vocabulary up to 1,000 phrases, the recording policy up
to 100 rules, a scorecard and its review up to 40 questions, each with ten moments."""


def limit_of(method: str, path: str) -> BodyLimit:
    return next((limit for verb, route, limit in LARGER if verb == method and route.match(path)), DEFAULT)


class BodyShapeError(ValueError):
    """A JSON document that is too deep, has too many items, or is no JSON."""


class JsonMeter:
    """Counts the depth and items of a JSON document that arrives in pieces, without parsing it."""

    def __init__(self, limit: BodyLimit) -> None:
        self._limit = limit
        self._depth = 0
        self._items = 0
        self._strings = 0
        self._in_string = False
        self._escaped = False

    def feed(self, piece: bytes) -> None:
        """Raises BodyShapeError."""
        at = 0
        while at < len(piece):
            if self._in_string:
                at = self._skip_string(piece, at)
            elif (mark := _MARK.search(piece, at)) is None:
                return
            else:
                at = mark.end()
                self._count(mark[0])

    def _skip_string(self, piece: bytes, at: int) -> int:
        if self._escaped:
            self._escaped = False
            return at + 1
        inside = _INSIDE_STRING.match(piece, at)
        assert inside is not None  # it also matches nothing
        at = inside.end()
        if at < len(piece):
            self._in_string = self._escaped = piece[at : at + 1] == b"\\"  # the last byte of the piece
        return at + 1

    def _count(self, mark: bytes) -> None:
        if mark == b'"':
            self._in_string = True
            self._strings += 1
            if self._strings > 2 * self._items + 1:  # an item has at most a name and a value
                raise BodyShapeError("The body is not JSON.")
            return
        if mark in b"]}":
            self._depth -= 1
            if self._depth < 0:
                raise BodyShapeError("The body is not JSON.")
            return
        self._items += 1
        self._depth += mark in b"[{"
        if self._depth > self._limit.depth:
            raise BodyShapeError(f"The body is nested more than {self._limit.depth} levels deep.")
        if self._items > self._limit.items:
            raise BodyShapeError(f"The body has more than {self._limit.items} items.")


class BodyLimits:
    """Middleware: refuses a body as soon as its declared or received size, its depth or its items exceed the route's limit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(SIGNED):  # those measure their own forms
            await self._app(scope, receive, send)
            return
        limit, headers = limit_of(scope["method"], scope["path"]), Headers(scope=scope)
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > limit.size_bytes:
            await error_response(Request(scope), 413, limit.too_large)(scope, receive, send)
            return
        other = headers.get("content-type", "").partition(";")[0].strip().lower() in _NOT_JSON
        meter = None if other else JsonMeter(limit)
        size_bytes, answered = 0, False

        async def receive_measured() -> Message:
            nonlocal size_bytes
            message = await receive()
            piece = message.get("body", b"")
            size_bytes += len(piece)
            try:
                if size_bytes > limit.size_bytes:
                    raise HTTPException(413, limit.too_large)
                if meter is not None:
                    meter.feed(piece)
            except (HTTPException, BodyShapeError) as error:
                if answered:  # the route did not need the body, and does not read it
                    return {"type": "http.disconnect"}
                raise error if isinstance(error, HTTPException) else HTTPException(422, str(error)) from None
            return message

        async def send_noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        await self._app(scope, receive_measured, send_noted)
