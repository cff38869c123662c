"""How a request that cannot be served is answered: one JSON shape, or the same words as a page for a browser.

    {"error": {"code": "not_found", "message": "There is no such call."}}

`code` is for programs and stays; `message` is for people and may change. Nothing of what was sent is repeated.
"""

import logging
from typing import cast

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import Scope

from callreel.domain.errors import StoreAwayError

log = logging.getLogger(__name__)

_CODES = {
    400: "bad_request",
    401: "not_signed_in",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    416: "range_not_satisfiable",
    422: "invalid",
    429: "too_many",
    500: "internal",
    503: "away",
}
_AWAY = "This audio cannot be had at the moment. It is not lost; try again soon."
_MESSAGES = {
    401: "Sign in first.",
    403: "This is not allowed.",
    404: "There is nothing here.",
    405: "This address does not answer that method.",
    500: "Something went wrong here. The log says what.",
}


def not_found(what: str) -> HTTPException:
    """`what` is a noun: `call`, `layer`."""
    return HTTPException(404, f"There is no such {what}.")


def conflict(error: Exception) -> HTTPException:
    """Somebody else was first; the error says who or what."""
    return HTTPException(409, _sentence(error))


def unusable(error: Exception) -> HTTPException:
    """A value that cannot be used; the error says why."""
    return HTTPException(422, _sentence(error))


def too_many(wait_s: float) -> HTTPException:
    """Too many attempts failed; when the next one may come."""
    minutes = max(1, round(wait_s / 60))
    text = f"Too many attempts failed. Try again in {minutes} minute{'s' if minutes > 1 else ''}."
    return HTTPException(429, text, headers={"Retry-After": str(int(wait_s) + 1)})


def _sentence(error: Exception) -> str:
    fact = str(error)
    return f"{fact[:1].upper()}{fact[1:]}."


def error_json(status: int, message: str | None = None, code: str | None = None) -> JSONResponse:
    """The one JSON shape of errors."""
    message = message or _MESSAGES.get(status, "The request cannot be served.")
    return JSONResponse(
        {"error": {"code": code or _CODES.get(status, f"status_{status}"), "message": message}}, status
    )


def wants_page(scope: Scope) -> bool:
    """Whether a person at a browser is asking, by `Accept`. The API answers in JSON whoever asks."""
    path = str(scope.get("path", ""))
    return "text/html" in Headers(scope=scope).get("accept", "") and not path.startswith("/api/")


def error_answer(request: Request, status: int, message: str | None = None) -> Response:
    """The error as a page for a browser, as JSON for everybody else."""
    if not wants_page(request.scope):
        return error_json(status, message)
    from callreel.web.pages.render import render_error

    return render_error(request, status, message or _MESSAGES.get(status, "The request cannot be served."))


def install_error_answers(app: FastAPI) -> None:
    """Give `app` these answers for everything that its routes raise."""

    async def on_http(request: Request, error: Exception) -> Response:
        raised = cast(StarletteHTTPException, error)
        own_words = isinstance(error, HTTPException) and isinstance(error.detail, str)
        answer = error_answer(request, raised.status_code, raised.detail if own_words else None)
        answer.headers.update(raised.headers or {})
        return answer

    async def on_invalid(request: Request, error: Exception) -> Response:
        places = {".".join(map(str, item["loc"])) for item in cast(RequestValidationError, error).errors()}
        return error_answer(request, 422, f"These values cannot be used: {', '.join(sorted(places))}.")

    async def on_away(request: Request, error: Exception) -> Response:
        log.warning("%s", error)
        answer = error_answer(request, 503, _AWAY)
        answer.headers["Retry-After"] = "5"
        return answer

    async def on_bug(request: Request, error: Exception) -> Response:
        return error_answer(request, 500)

    app.add_exception_handler(StarletteHTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(StoreAwayError, on_away)
    app.add_exception_handler(Exception, on_bug)
