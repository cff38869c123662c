"""The page `/me/second-factor`: set up an authenticator app, see recovery codes once, replace them, remove the app.

Setting up needs the password and the rest a code: an open session alone must not change how its owner signs in.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from callreel.domain.access import SecondFactor
from callreel.web.auth.second_factor import Enrolment
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
from callreel.web.pages.sign_in import WRONG_CODE, Code, Password, client_network

WRONG_NEW_CODE: Final = "Wrong code. Enter the newest code of the app, or start again."

log = logging.getLogger(__name__)

routes = APIRouter(include_in_schema=False)


@dataclass
class OwnFactor:
    """The person's page: who changes what, and how the answer is shown."""

    context: Context
    factors: SecondFactorService
    auditor: AuditService
    page: Page
    request: Request
    person: CurrentPerson

    @property
    def user_id(self) -> int:
        person = self.person
        if person.id is None or not person.local or self.context.options.second_factor is SecondFactor.OFF:
            raise not_found("second factor")
        return person.id

    @property
    def network(self) -> str:
        return client_network(self.request)

    async def codes_shown(
        self, codes: Sequence[str] | None, problem: str, *, confirming: bool = False
    ) -> HTMLResponse:
        """The new recovery codes, this once; None: the code that was entered is wrong."""
        if codes is None:
            return await self.refused(problem, confirming=confirming)
        return await self.shown(codes=codes)

    async def refused(self, problem: str, *, confirming: bool = False) -> HTMLResponse:
        """A wrong code was entered."""
        log.info("second factor refused", extra={"address": self.network})
        await asyncio.to_thread(self.auditor.code_refused, self.request.scope, self.person.name)
        return await self.shown(problem=problem, confirming=confirming)

    async def shown(
        self,
        *,
        problem: str | None = None,
        enrolment: Enrolment | None = None,
        codes: Sequence[str] = (),
        confirming: bool = False,
    ) -> HTMLResponse:
        """`enrolment` and `codes` are shown this once."""
        return self.page(
            "second_factor.html",
            422 if problem else 200,
            here="me",
            state=await self.factors.state(self.user_id),
            must_enrol=self.person.must_enrol and not codes,
            problem=problem,
            enrolment=enrolment,
            codes=codes,
            confirming=confirming,
        )


Own = Annotated[OwnFactor, Depends()]


@routes.get("/me/second-factor")
async def state(own: Own) -> HTMLResponse:
    return await own.shown()


@routes.post("/me/second-factor")
async def start(own: Own, sign_in: SignInService, password: Password) -> HTMLResponse:
    user_id, name = own.user_id, own.person.name
    if await sign_in.proven(name, password, own.network) is None:
        await asyncio.to_thread(own.auditor.sign_in_failed, own.request.scope, name)
        return await own.shown(problem="Wrong password.")
    enrolment = await own.factors.start(user_id, name)
    if enrolment is None:
        raise RequestConflictError("you have a second factor already; remove it first")
    return await own.shown(enrolment=enrolment)


@routes.post("/me/second-factor/confirm")
async def confirm(own: Own, code: Code) -> HTMLResponse:
    token = session_token(own.request.scope) or ""
    codes = await own.factors.confirm(own.user_id, code, own.network, token)
    return await own.codes_shown(codes, WRONG_NEW_CODE, confirming=True)


@routes.post("/me/second-factor/recovery-codes")
async def replace_codes(own: Own, code: Code) -> HTMLResponse:
    codes = await own.factors.replace_recovery_codes(own.user_id, code, own.network)
    return await own.codes_shown(codes, WRONG_CODE)


@routes.post("/me/second-factor/remove")
async def remove(own: Own, code: Code) -> Response:
    if not await own.factors.remove(own.user_id, code, own.network):
        return await own.refused(WRONG_CODE)
    return RedirectResponse("/me/second-factor", 303)
