"""The pages `/sign-in`, `/sign-in/code` for a second factor, and `/welcome`, where the first administrator's account is
created, and `/sign-out`."""

import asyncio
import logging
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from callreel.domain.access import LONGEST_NAME, UserRole
from callreel.store.audit.pending import describe
from callreel.web.auth import welcome
from callreel.web.auth.attempts import WELCOME, TooManyAttemptsError
from callreel.web.auth.origin import limited_address, local_path
from callreel.web.auth.passwords import LONGEST_PASSWORD, PasswordError
from callreel.web.auth.provider import ProviderError
from callreel.web.auth.signin import SignIn, delete_session_cookie, session_token, set_session_cookie
from callreel.web.dependencies import (
    AuditService,
    Context,
    Page,
    ProviderService,
    SecondFactorService,
    SignInService,
)
from callreel.web.errors import error_response, retry_after, sentence
from callreel.web.options import WebContext
from callreel.web.values import Storable

log = logging.getLogger(__name__)

LOCAL_OFF: Final = "Local accounts are switched off. Sign in at the provider."
_USED: Final = "This link was used already or has expired."

WRONG_CODE: Final = "Wrong code, or one that was used already. Wait for the next code of your app."

Password = Annotated[str, Form(max_length=LONGEST_PASSWORD), Storable]
Code = Annotated[str, Form(max_length=100), Storable]

routes = APIRouter(include_in_schema=False)


@routes.get("/sign-in")
async def sign_in_page(
    context: Context,
    sign_in: SignInService,
    page: Page,
    request: Request,
    target: Annotated[str, Query(alias="next")] = "/",
) -> Response:
    if context.options.no_sign_in or await sign_in.by_session(session_token(request.scope)):
        return RedirectResponse(local_path(target), 303)
    return await _sign_in_form(sign_in, page, local_path(target))


@routes.post("/sign-in")
async def enter(
    context: Context,
    sign_in: SignInService,
    auditor: AuditService,
    page: Page,
    request: Request,
    name: Annotated[str, Form(max_length=200), Storable],
    password: Password,
    target: Annotated[str, Form(alias="next")] = "/",
) -> Response:
    target, address = local_path(target), client_network(request)
    if not context.options.local_accounts:
        return await _sign_in_form(sign_in, page, target, "", LOCAL_OFF, 403)
    try:
        session = await sign_in.enter(name, password, address, _device(request))
    except TooManyAttemptsError as error:
        form = await _sign_in_form(sign_in, page, target, name, sentence(error), 429)
        form.headers["Retry-After"] = retry_after(error)
        return form
    if session is None:
        log.info("sign-in failed", extra={"address": address})
        await asyncio.to_thread(auditor.sign_in_failed, request.scope, name)
        return await _sign_in_form(sign_in, page, target, name, "Wrong name or password.", 401)
    await sign_in.leave(session_token(request.scope))
    if session.second_factor_due:
        target = f"/sign-in/code?next={quote(target, safe='')}"
    return _signed_in(context, session.token, session.session_s, target)


@routes.get("/sign-in/code")
async def code_page(
    factors: SecondFactorService,
    page: Page,
    request: Request,
    target: Annotated[str, Query(alias="next")] = "/",
) -> Response:
    if await factors.due(session_token(request.scope)) is None:
        return _to_sign_in(local_path(target))
    return _code_form(page, local_path(target))


@routes.post("/sign-in/code")
async def enter_code(
    context: Context,
    sign_in: SignInService,
    factors: SecondFactorService,
    auditor: AuditService,
    page: Page,
    request: Request,
    code: Code,
    target: Annotated[str, Form(alias="next")] = "/",
) -> Response:
    target, address = local_path(target), client_network(request)
    due = await factors.due(session_token(request.scope))
    if due is None:  # it waited for too long, or has ended
        return error_response(request, 401, "Sign in with your password first.")
    try:
        token = await factors.complete(due, code, address, _device(request))
    except TooManyAttemptsError as error:
        form = _code_form(page, target, sentence(error), 429)
        form.headers["Retry-After"] = retry_after(error)
        return form
    if token is None:
        log.info("second factor refused", extra={"address": address})
        await asyncio.to_thread(auditor.code_refused, request.scope, due.name)
        return _code_form(page, target, WRONG_CODE, 401)
    return _signed_in(context, token, sign_in.session_s, target)


@routes.post("/sign-out")
async def leave(
    context: Context, sign_in: SignInService, provider: ProviderService, page: Page, request: Request
) -> Response:
    id_token = await sign_in.leave(session_token(request.scope))
    response: Response = RedirectResponse("/sign-in", 303)
    if provider is not None and id_token is not None:
        try:
            own = (context.options.public_url or str(request.base_url)).rstrip("/")
            elsewhere = await provider.sign_out_url(id_token, f"{own}/sign-in")
        except ProviderError as error:
            log.warning("sign-out at the provider failed: %s", error)
        else:
            # A page and no redirect: the policy of our pages lets their forms lead to this server only.
            response = page("signed_out.html", address=elsewhere) if elsewhere else response
    delete_session_cookie(response, secure=context.options.secure_cookies)
    return response


@routes.get("/welcome")
async def welcome_page(
    context: Context,
    sign_in: SignInService,
    page: Page,
    request: Request,
    token: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    refusal = await _link_refusal(context, sign_in, page, request, token)
    return refusal or _welcome_form(page, token)


@routes.post("/welcome")
async def create_administrator(
    context: Context,
    sign_in: SignInService,
    page: Page,
    request: Request,
    token: Annotated[str, Form(max_length=200), Storable],
    name: Annotated[str, Form(max_length=1000), Storable],
    password: Password,
) -> Response:
    refusal = await _link_refusal(context, sign_in, page, request, token)
    if refusal is not None:
        return refusal
    name = name.strip()
    if not 1 <= len(name) <= LONGEST_NAME:
        return _welcome_form(page, token, f"A name needs 1 to {LONGEST_NAME} characters.", 422)
    try:
        hashed = await sign_in.hashed(password)
    except PasswordError as error:
        return _welcome_form(page, token, sentence(error), 422)
    describe(actor=name, subject=name, role=UserRole.ADMINISTRATOR.value)
    user = await asyncio.to_thread(
        welcome.create_administrator, context.database, context.clock, token, name, hashed
    )
    if user is None:
        return _welcome_form(page, "", _USED, 404)
    token = await sign_in.open_session(user.id, client_network(request), _device(request))
    return _signed_in(context, token, sign_in.session_s, "/")


async def _sign_in_form(
    sign_in: SignIn,
    page: Page,
    target: str,
    name: str = "",
    problem: str | None = None,
    status: int = 200,
) -> HTMLResponse:
    no_users = await sign_in.no_users()
    return page("sign_in.html", status, next=target, name=name, problem=problem, no_users=no_users)


def _welcome_form(page: Page, token: str, error: str | None = None, status: int = 200) -> HTMLResponse:
    return page("welcome.html", status, token=token, error=error)


async def _link_refusal(
    context: WebContext, sign_in: SignIn, page: Page, request: Request, token: str
) -> Response | None:
    """The page for an invalid link. Attempts are counted, so that tokens cannot be guessed."""
    if not context.options.local_accounts:
        return _welcome_form(page, "", LOCAL_OFF, 403)
    try:
        attempt = await sign_in.attempts.begin((WELCOME, client_network(request)))
    except TooManyAttemptsError as error:
        return _welcome_form(page, "", sentence(error), 429)
    if await asyncio.to_thread(welcome.is_valid, context.database, context.clock, token):
        await sign_in.attempts.succeeded(attempt)
        return None
    return _welcome_form(page, "", _USED, 404)


def _code_form(page: Page, target: str, problem: str | None = None, status: int = 200) -> HTMLResponse:
    return page("sign_in_code.html", status, next=target, problem=problem)


def _to_sign_in(target: str) -> Response:
    return RedirectResponse(f"/sign-in?next={quote(target, safe='')}", 303)


def _signed_in(context: WebContext, token: str, session_s: float, target: str) -> Response:
    response = RedirectResponse(target, 303)
    set_session_cookie(response, token, session_s, secure=context.options.secure_cookies)
    return response


def _device(request: Request) -> str:
    return request.headers.get("user-agent", "")


def client_network(request: Request) -> str:
    """What attempts are counted by."""
    return limited_address(request.scope.get("client"))
