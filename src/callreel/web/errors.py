"""Error responses: one JSON shape for programs, the same message as a page for browsers.

    {"error": {"code": "not_found", "message": "There is no such call."}}

`code` is stable; `message` is for people and may change. A message never repeats what the client sent.
"""

import logging
from typing import Final, TypeVar, cast

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Scope

from callreel.asr.languages import LanguageError
from callreel.domain.errors import (
    AccessEndedError,
    CallreelError,
    LanguageModelError,
    NoCallError,
    StoreUnavailableError,
    TextDeletedError,
)
from callreel.ingest.pause_control import PauseError
from callreel.retention.erasure_orders import ErasureRefusedError
from callreel.retention.legal_hold import HoldRefusedError, ReasonError
from callreel.retention.stopped_recording import StopRefusedError
from callreel.retention.subject_access import NumberError
from callreel.review.analyses import AnalysisRefusedError, ItemError
from callreel.review.corrections import ConflictError
from callreel.review.labeling import LabelError, NoLabelError, RetentionLabelError, StaleInstructionsError
from callreel.review.model_access import AskRefusedError
from callreel.review.notes import HeldNoteError, NoteError, OthersNoteError
from callreel.review.redacting import RedactionError
from callreel.review.role_swap import LiveRolesError
from callreel.review.triage import AssigneeError, LiveReviewError
from callreel.review.turn_edits import CorrectionError
from callreel.scorecards.forms import NoScorecardError, ScorecardError, StaleVersionError
from callreel.scorecards.results import TooManyResultsError
from callreel.scorecards.reviewing import NoReviewError, OthersCallError, ReviewStateError
from callreel.store.audio.peaks import PeaksError
from callreel.store.calls.labels import LabelTakenError
from callreel.store.people.technicians import TakenError
from callreel.store.people.users import LastAdministratorError
from callreel.web.auth.attempts import TooManyAttemptsError
from callreel.web.auth.passwords import PasswordError

log = logging.getLogger(__name__)
T = TypeVar("T")

_CODES: Final = {
    400: "bad_request",
    401: "not_signed_in",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "unsupported_type",
    416: "range_not_satisfiable",
    422: "invalid",
    429: "too_many",
    500: "internal",
    503: "unavailable",
}
_MESSAGES: Final = {
    401: "Sign in first.",
    403: "You do not have permission for this.",
    404: "This page does not exist.",
    405: "This address does not support that method.",
    500: "Internal error. The server's log has the details.",
}
_UNAVAILABLE: Final = "This audio is temporarily unavailable. It is not lost; try again in a few seconds."


class InvalidError(CallreelError):
    """A value in a request that cannot be used."""


class ForbiddenError(CallreelError):
    """A person has no right to what a request names."""


class RequestConflictError(CallreelError):
    """A request that the current state does not allow."""


_STATUS: Final[dict[type[CallreelError], int]] = {
    ForbiddenError: 403,
    AccessEndedError: 401,
    OthersNoteError: 403,
    OthersCallError: 403,
    RetentionLabelError: 403,
    NoCallError: 404,
    NoLabelError: 404,
    NoReviewError: 404,
    NoScorecardError: 404,
    AnalysisRefusedError: 409,
    AskRefusedError: 409,
    ConflictError: 409,
    ErasureRefusedError: 409,
    HeldNoteError: 409,
    HoldRefusedError: 409,
    LabelTakenError: 409,
    LastAdministratorError: 409,
    LiveReviewError: 409,
    LiveRolesError: 409,
    PauseError: 409,
    RedactionError: 409,
    RequestConflictError: 409,
    ReviewStateError: 409,
    StaleInstructionsError: 409,
    StaleVersionError: 409,
    StopRefusedError: 409,
    TextDeletedError: 409,
    TakenError: 409,
    AssigneeError: 422,
    CorrectionError: 422,
    InvalidError: 422,
    ItemError: 422,
    LabelError: 422,
    LanguageError: 422,
    NoteError: 422,
    NumberError: 422,
    PasswordError: 422,
    PeaksError: 422,
    ReasonError: 422,
    ScorecardError: 422,
    TooManyResultsError: 422,
}
"""The errors of use cases that a client can cause. Any other error is ours: 500."""


def existing(what: str, found: T | None) -> T:
    """What was looked for. Raises 404 for None."""
    if found is None:
        raise not_found(what)
    return found


def not_found(what: str) -> HTTPException:
    """`what` is a noun: `call`, `layer`."""
    return HTTPException(404, f"There is no such {what}.")


def sentence(error: Exception) -> str:
    fact = str(error)
    return f"{fact[:1].upper()}{fact[1:]}."


def status_and_message(error: CallreelError) -> tuple[int, str]:
    """How an error of `_STATUS` is answered."""
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    if isinstance(error, NoCallError):
        return status, "There is no such call."
    if isinstance(error, LanguageError):  # its advice is not for agents
        return status, sentence(LanguageError(error.fact))
    return status, sentence(error)


def retry_after(error: TooManyAttemptsError) -> str:
    return str(int(error.wait_s) + 1)


def error_json(status: int, message: str | None = None, code: str | None = None) -> JSONResponse:
    """The JSON shape of every error."""
    message = message or _MESSAGES.get(status, "The request failed.")
    return JSONResponse(
        {"error": {"code": code or _CODES.get(status, f"status_{status}"), "message": message}}, status
    )


def wants_page(scope: Scope) -> bool:
    """Whether a browser asks for a page, by `Accept`. The API always answers in JSON."""
    path = str(scope.get("path", ""))
    return "text/html" in Headers(scope=scope).get("accept", "") and not path.startswith("/api/v1/")


def error_response(
    request: Request, status: int, message: str | None = None, code: str | None = None
) -> Response:
    """The error as a page for a browser, as JSON for every other client."""
    if not wants_page(request.scope):
        return error_json(status, message, code)
    from callreel.web.pages.render import render_error

    return render_error(request, status, message or _MESSAGES.get(status, "The request failed."))


def install_error_handlers(app: FastAPI) -> None:
    """Register the handlers for everything that routes raise."""
    app.add_exception_handler(StarletteHTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_validation)
    for kind in _STATUS:
        app.add_exception_handler(kind, _on_use_case)
    app.add_exception_handler(TooManyAttemptsError, _on_too_many)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(StoreUnavailableError, _on_unavailable)
    app.add_exception_handler(LanguageModelError, _on_language_model)
    app.add_exception_handler(Exception, _on_bug)


async def error_document(request: Request, error: CallreelError) -> str:
    """The JSON of an error for a response that has begun. Raises `error` if it is none that a client gets."""
    handlers = request.app.exception_handlers
    kind = next(kind for kind in type(error).__mro__ if kind in handlers)
    if kind is Exception:
        raise error
    answer: Response = await handlers[kind](request, error)
    return bytes(answer.body).decode()


async def _on_http(request: Request, error: Exception) -> Response:
    raised = cast(StarletteHTTPException, error)
    # The messages of Starlette's own exceptions are replaced; those of FastAPI's class are ours.
    own = isinstance(error, HTTPException) and isinstance(error.detail, str)
    response = error_response(request, raised.status_code, raised.detail if own else None)
    response.headers.update(raised.headers or {})
    return response


async def _on_validation(request: Request, error: Exception) -> Response:
    # Names of unknown fields come from the client and are not repeated.
    fields = {
        ".".join(map(str, item["loc"][:1] if item["type"] == "extra_forbidden" else item["loc"]))
        for item in cast(RequestValidationError, error).errors()
    }
    return error_response(request, 422, f"Invalid values: {', '.join(sorted(fields))}.")


async def _on_use_case(request: Request, error: Exception) -> Response:
    return error_response(request, *status_and_message(cast(CallreelError, error)))


async def _on_too_many(request: Request, error: Exception) -> Response:
    response = error_response(request, 429, sentence(error))
    response.headers["Retry-After"] = retry_after(cast(TooManyAttemptsError, error))
    return response


async def _on_disconnect(request: Request, error: Exception) -> Response:
    """The client closed the connection, or its time for the body ran out; the answer is not read, and nothing is wrong here."""
    return error_response(request, 400)


async def _on_unavailable(request: Request, error: Exception) -> Response:
    log.warning("%s", error)
    response = error_response(request, 503, _UNAVAILABLE)
    response.headers["Retry-After"] = "5"
    return response


async def _on_language_model(request: Request, error: Exception) -> Response:
    failed = cast(LanguageModelError, error)
    log.warning("language model request failed: %s", failed)
    if failed.status != 429:
        return error_response(request, 503, sentence(failed))
    wait_s = int(failed.retry_after_s or 0) + 1
    busy = "The language model's server gets too many requests."
    response = error_response(request, 503, f"{busy} Try again in {wait_s} s.")
    response.headers["Retry-After"] = str(wait_s)
    return response


async def _on_bug(request: Request, error: Exception) -> Response:
    return error_response(request, 500)
