"""The application that serves the simulated carrier's REST API: authentication, error responses, routes."""

import base64
import binascii

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from callreel.simulator.rest import calls, conferences, configuration, recordings, streams
from callreel.simulator.rest.protocol import NOT_AUTHENTICATED, NOT_FOUND, RestContext, RestError
from callreel.simulator.rest.resources import error_json

_HEADERS = {
    401: {"WWW-Authenticate": 'Basic realm="Twilio API"'},
    # The carrier documents no Retry-After, but the hosts before it may send one.
    429: {"Twilio-Concurrent-Requests": "101", "Retry-After": "1"},
}


def rest_app(context: RestContext) -> FastAPI:
    """The API of one carrier."""
    app = FastAPI(title="Simulated carrier", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.rest = context
    prefix = f"/2010-04-01/Accounts/{context.account.sid}"
    for routes in (
        calls.router, conferences.router, streams.router, recordings.router, configuration.router,
        configuration.account_router,
    ):  # fmt: skip
        app.include_router(routes, prefix=prefix, dependencies=[Depends(_authenticate)])

    @app.exception_handler(RestError)
    async def rest_error(request: Request, error: RestError) -> Response:
        body = error_json(error.code, str(error), error.status)
        return JSONResponse(body, error.status, _HEADERS.get(error.status))

    @app.exception_handler(HTTPException)
    async def unknown_path(request: Request, error: HTTPException) -> Response:
        """Unknown paths and methods. Credentials are checked first, as everywhere."""
        try:
            await _authenticate(request)
        except RestError as unauthenticated:
            return await rest_error(request, unauthenticated)
        message = f"{request.url.path}: {error.detail}"
        return JSONResponse(error_json(NOT_FOUND, message, error.status_code), error.status_code)

    return app


async def _authenticate(request: Request) -> None:
    context: RestContext = request.app.state.rest
    user, password = _credentials(request.headers.get("authorization", ""))
    if not context.configuration.authenticates(user, password):
        raise RestError(401, NOT_AUTHENTICATED, "Authenticate")
    request.state.user = user
    outage = context.state.outage
    if outage is not None and (status := outage()) is not None:
        raise RestError(status, int(f"20{status}"), "This request was not processed")


def _credentials(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password
