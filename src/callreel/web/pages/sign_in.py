"""The pages `/sign-in` and `/welcome`, where the first administrator's account is created, and `/sign-out`."""

import asyncio
import logging
from typing import Annotated, Final

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from callreel.domain.access import LONGEST_NAME, UserRole
from callreel.store.audit.pending import describe
from callreel.web.auth import welcome
from callreel.web.auth.attempts import TooManyAttemptsError
from callreel.web.auth.origin import limited_address, local_path
from callreel.web.auth.passwords import LONGEST_PASSWORD, PasswordError
from callreel.web.auth.signin import SignIn, delete_session_cookie, session_token, set_session_cookie
from callreel.web.dependencies import AuditService, Context, Page, SignInService
from callreel.web.errors import retry_after, sentence
from callreel.web.options import WebContext
from callreel.web.values import Storable

log = logging.getLogger(__name__)

_USED: Final = "This link was used already or has expired."

Password = Annotated[str, Form(max_length=LONGEST_PASSWORD), Storable]

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
    target, address = local_path(target), _address(request)
    try:
        token = await sign_in.enter(name, password, address, _device(request))
    except TooManyAttemptsError as error:
        form = await _sign_in_form(sign_in, page, target, name, sentence(error), 429)
        form.headers["Retry-After"] = retry_after(error)
        return form
    if token is None:
        log.info("sign-in failed", extra={"address": address})
        await asyncio.to_thread(auditor.sign_in_failed, request.scope, name)
        return await _sign_in_form(sign_in, page, target, name, "Wrong name or password.", 401)
    await sign_in.leave(session_token(request.scope))
    return _signed_in(context, sign_in, token, target)


@routes.post("/sign-out")
async def leave(context: Context, sign_in: SignInService, request: Request) -> Response:
    await sign_in.leave(session_token(request.scope))
    response = RedirectResponse("/sign-in", 303)
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
    return _signed_in(
        context, sign_in, await sign_in.open_session(user.id, _address(request), _device(request)), "/"
    )


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
    address, now_s = _address(request), context.clock.monotonic_s()
    try:
        sign_in.welcome_attempts.begin(address, now_s)
    except TooManyAttemptsError as error:
        return _welcome_form(page, "", sentence(error), 429)
    if await asyncio.to_thread(welcome.is_valid, context.database, context.clock, token):
        sign_in.welcome_attempts.forgive(address, now_s)
        return None
    return _welcome_form(page, "", _USED, 404)


def _signed_in(context: WebContext, sign_in: SignIn, token: str, target: str) -> Response:
    response = RedirectResponse(target, 303)
    set_session_cookie(response, token, sign_in.session_s, secure=context.options.secure_cookies)
    return response


def _device(request: Request) -> str:
    return request.headers.get("user-agent", "")


def _address(request: Request) -> str:
    return limited_address(request.scope.get("client"))
