"""The stand-in carrier's REST API: the part of the v2010 API that deals with calls, streams and recordings.

HTTP Basic, forms in, JSON out. Paths, filters, paging and errors: reference/twilio.md, section 6. The routes are in
`rest_calls` and `rest_recordings`.
"""

import base64
import binascii

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from callreel.simulator.account import Account
from callreel.simulator.rest.calls import add_calls
from callreel.simulator.rest.recordings import add_recordings
from callreel.simulator.rest.resources import error_json
from callreel.simulator.rest.responses import NOT_AUTHENTICATED, NOT_FOUND, RestError
from callreel.simulator.state import CarrierState


def rest_app(account: Account, ledger: CarrierState, api_url: str, *, ranges: bool = False) -> FastAPI:
    """The API of one stand-in. `ranges` lets downloads be resumed, which the carrier does not document."""
    app = FastAPI(title="Stand-in carrier", docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(RestError)
    async def refuse(request: Request, error: RestError) -> Response:
        headers = {"WWW-Authenticate": 'Basic realm="Twilio API"'} if error.status == 401 else None
        return JSONResponse(error_json(error.code, str(error), error.status), error.status, headers)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        return JSONResponse(
            error_json(NOT_FOUND, f"{request.url.path}: {error.detail}", error.status_code), error.status_code
        )

    async def signed_in(request: Request) -> None:
        if not account.authenticates(*_credentials(request.headers.get("authorization", ""))):
            raise RestError(401, NOT_AUTHENTICATED, "Authenticate")

    base = f"/2010-04-01/Accounts/{account.sid}"
    router = APIRouter(prefix=base, dependencies=[Depends(signed_in)])
    add_calls(router, account, ledger)
    add_recordings(router, account, ledger, api_url, ranges=ranges)
    app.include_router(router)
    return app


def _credentials(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password
