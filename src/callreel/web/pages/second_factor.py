"""The page `/me/second-factor`: set up an authenticator app, see recovery codes once, replace them, remove the app.

Setting up needs the password and the rest a code: an open session alone must not change how its owner signs in.
"""

import asyncio
import logging
from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from callreel.domain.access import SecondFactor
from callreel.web.auth.auditor import Auditor
from callreel.web.auth.person import Person
from callreel.web.auth.second_factor import Enrolment, SecondFactors
from callreel.web.auth.signin import session_token
from callreel.web.dependencies import (
    AuditService,
    Context,
    CurrentPerson,
    Page,
    SecondFactorService,
    SignInService,
)
from callreel.web.errors import RequestConflictError, not_found
from callreel.web.options import WebContext
from callreel.web.pages.sign_in import WRONG_CODE, Code, Password, client_network

log = logging.getLogger(__name__)

routes = APIRouter(include_in_schema=False)


@routes.get("/me/second-factor")
async def state(
    context: Context, factors: SecondFactorService, page: Page, person: CurrentPerson
) -> HTMLResponse:
    return await _page(factors, page, person, _own_id(context, person))


@routes.post("/me/second-factor")
async def start(
    context: Context,
    sign_in: SignInService,
    factors: SecondFactorService,
    auditor: AuditService,
    page: Page,
    request: Request,
    person: CurrentPerson,
    password: Password,
) -> HTMLResponse:
    user_id = _own_id(context, person)
    if await sign_in.proven(person.name, password, client_network(request)) is None:
        await asyncio.to_thread(auditor.sign_in_failed, request.scope, person.name)
        return await _page(factors, page, person, user_id, problem="Wrong password.")
    enrolment = await factors.start(user_id, person.name)
    if enrolment is None:
        raise RequestConflictError("you have a second factor already; remove it first")
    return await _page(factors, page, person, user_id, enrolment=enrolment)


@routes.post("/me/second-factor/confirm")
async def confirm(
    context: Context,
    factors: SecondFactorService,
    auditor: AuditService,
    page: Page,
    request: Request,
    person: CurrentPerson,
    code: Code,
) -> HTMLResponse:
    user_id = _own_id(context, person)
    token = session_token(request.scope) or ""
    codes = await factors.confirm(user_id, code, client_network(request), token)
    if codes is None:
        await _refused(auditor, request, person)
        problem = "Wrong code. Enter the newest code of the app, or start again."
        return await _page(factors, page, person, user_id, problem=problem, confirming=True)
    return await _page(factors, page, person, user_id, codes=codes)


@routes.post("/me/second-factor/recovery-codes")
async def replace_codes(
    context: Context,
    factors: SecondFactorService,
    auditor: AuditService,
    page: Page,
    request: Request,
    person: CurrentPerson,
    code: Code,
) -> HTMLResponse:
    user_id = _own_id(context, person)
    codes = await factors.replace_recovery_codes(user_id, code, client_network(request))
    if codes is None:
        await _refused(auditor, request, person)
        return await _page(factors, page, person, user_id, problem=WRONG_CODE)
    return await _page(factors, page, person, user_id, codes=codes)


@routes.post("/me/second-factor/remove")
async def remove(
    context: Context,
    factors: SecondFactorService,
    auditor: AuditService,
    page: Page,
    request: Request,
    person: CurrentPerson,
    code: Code,
) -> Response:
    user_id = _own_id(context, person)
    if not await factors.remove(user_id, code, client_network(request)):
        await _refused(auditor, request, person)
        return await _page(factors, page, person, user_id, problem=WRONG_CODE)
    return RedirectResponse("/me/second-factor", 303)


def _own_id(context: WebContext, person: Person) -> int:
    if person.id is None or not person.local or context.options.second_factor is SecondFactor.OFF:
        raise not_found("second factor")
    return person.id


async def _refused(auditor: Auditor, request: Request, person: Person) -> None:
    log.info("second factor refused", extra={"address": client_network(request)})
    await asyncio.to_thread(auditor.code_refused, request.scope, person.name)


async def _page(
    factors: SecondFactors,
    page: Page,
    person: Person,
    user_id: int,
    *,
    problem: str | None = None,
    enrolment: Enrolment | None = None,
    codes: Sequence[str] = (),
    confirming: bool = False,
) -> HTMLResponse:
    """`enrolment` and `codes` are shown this once."""
    return page(
        "second_factor.html",
        422 if problem else 200,
        here="me",
        state=await factors.state(user_id),
        must_enrol=person.must_enrol and not codes,
        problem=problem,
        enrolment=enrolment,
        codes=codes,
        confirming=confirming,
    )
