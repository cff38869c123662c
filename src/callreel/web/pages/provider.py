"""Sign-in at an OpenID Connect provider: `/sign-in/provider` sends the browser there, `/sign-in/provider/callback` takes it back.

While the browser is away, a cookie has the state, the nonce and the PKCE verifier: an answer counts only in the browser that
began, once.
"""

import asyncio
import hmac
import logging
from typing import Annotated, Final
from urllib.parse import quote, unquote

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from callreel.store.db.types import storable_text
from callreel.web.auth.attempts import TooManyAttemptsError
from callreel.web.auth.origin import local_path
from callreel.web.auth.provider import ProviderError, Started, error_code, new_started
from callreel.web.auth.provider_accounts import Arrival, ProviderRefusedError
from callreel.web.auth.signin import session_token, set_session_cookie
from callreel.web.dependencies import AuditService, Context, Page, ProviderService, SignInService
from callreel.web.errors import not_found, sentence
from callreel.web.options import WebContext
from callreel.web.pages.sign_in import client_network

log = logging.getLogger(__name__)

COOKIE: Final = "callreel_sign_in"
_AWAY_S: Final = 600
_CALLBACK: Final = "/sign-in/provider/callback"
_LONGEST_TARGET: Final = 1000

routes = APIRouter(include_in_schema=False)

Parameter = Annotated[str, Query(max_length=4096)]


@routes.get("/sign-in/provider")
async def leave_for_provider(
    context: Context,
    provider: ProviderService,
    page: Page,
    request: Request,
    target: Annotated[str, Query(alias="next")] = "/",
) -> Response:
    if provider is None:
        raise not_found("provider")
    started, target = new_started(), local_path(target)[:_LONGEST_TARGET]
    try:
        address = await provider.begin(started, public_address(context, request) + _CALLBACK)
    except ProviderError as error:
        return _failed(page, error)
    response = RedirectResponse(address, 303)
    response.set_cookie(
        _cookie_name(context), ".".join((started.state, started.nonce, started.verifier, quote(target, safe=""))),
        max_age=_AWAY_S, secure=context.options.secure_cookies, httponly=True, samesite="lax",
    )  # fmt: skip
    return response


@routes.get("/sign-in/provider/callback")
async def come_back(
    context: Context,
    sign_in: SignInService,
    provider: ProviderService,
    auditor: AuditService,
    page: Page,
    request: Request,
    code: Parameter = "",
    state: Parameter = "",
) -> Response:
    if provider is None:
        raise not_found("provider")
    try:
        started, target = _kept(request.cookies.get(_cookie_name(context), ""), state)
    except ProviderError as error:  # no entry in the trail: any page could cause such requests
        return _failed(page, error)
    try:
        provider.provider.check_issuer(request.query_params.get("iss"))
        if not code:
            reason = error_code(request.query_params.get("error", ""))
            raise ProviderError(f"the provider did not sign you in: {reason}")
        device = storable_text(request.headers.get("user-agent", ""))
        redirect_url = public_address(context, request) + _CALLBACK
        token = await provider.enter(started, Arrival(code, redirect_url, client_network(request), device))
    except TooManyAttemptsError:
        raise
    except ProviderError as error:
        account = error.account if isinstance(error, ProviderRefusedError) else ""
        await asyncio.to_thread(auditor.sign_in_failed, request.scope, account)
        response: Response = _failed(page, error)
    else:
        await sign_in.leave(session_token(request.scope))
        response = RedirectResponse(target, 303)
        set_session_cookie(response, token, sign_in.session_s, secure=context.options.secure_cookies)
    response.delete_cookie(
        _cookie_name(context), secure=context.options.secure_cookies, httponly=True, samesite="lax"
    )
    return response


def public_address(context: WebContext, request: Request) -> str:
    """Our own address, as the provider knows it."""
    return (context.options.public_url or str(request.base_url)).rstrip("/")


def _cookie_name(context: WebContext) -> str:
    """With https, a name that no other host of the domain can set a cookie for."""
    return f"__Host-{COOKIE}" if context.options.secure_cookies else COOKIE


def _kept(cookie: str, state: str) -> tuple[Started, str]:
    """What the cookie has of the sign-in with this `state`, and where it leads. Raises ProviderError."""
    parts = cookie.split(".", 3)
    if len(parts) != 4 or not all(parts) or not hmac.compare_digest(parts[0].encode(), state.encode()):
        # An empty part would switch off its check: the cookie is the browser's own.
        raise ProviderError(
            "this sign-in did not begin in this browser, or more than ten minutes ago; try again"
        )
    return Started(*parts[:3]), local_path(unquote(parts[3]))


def _failed(page: Page, error: ProviderError) -> HTMLResponse:
    refused = isinstance(error, ProviderRefusedError)
    log.warning("sign-in at the provider failed: %s", error)
    return page(
        "sign_in.html", 403 if refused else 502, next="/", name="", problem=sentence(error), no_users=False
    )
