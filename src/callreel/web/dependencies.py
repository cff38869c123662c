"""FastAPI dependencies of the routes: the application's services, the person who makes the request, a call by its id."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse

from callreel.domain.access import Right
from callreel.domain.ids import CallId
from callreel.retention.erasure_orders import ErasureOrders
from callreel.retention.legal_hold import LegalHolds
from callreel.review.analyses import Analyses
from callreel.review.corrections import Corrections
from callreel.review.labeling import Labeling
from callreel.review.model_access import ModelAccess
from callreel.review.notes import Notes
from callreel.review.redacting import Redacting
from callreel.review.role_swap import RoleSwaps
from callreel.review.triage import Triage
from callreel.scorecards.forms import Scorecards
from callreel.scorecards.reviewing import Reviewing
from callreel.store.calls import calls
from callreel.store.calls.calls import CallRow
from callreel.web.auth.auditor import Auditor
from callreel.web.auth.person import Person, person_of
from callreel.web.auth.provider_accounts import ProviderSignIn
from callreel.web.auth.second_factor import SecondFactors
from callreel.web.auth.signin import SignIn
from callreel.web.errors import ForbiddenError, RequestConflictError, existing
from callreel.web.options import WebContext
from callreel.web.pages.render import Renderer

RenderPage = Callable[..., HTMLResponse]
"""Renders a template for the current request: `page("people.html", here="people")`, `page("error.html", 404)`."""

# Providers are coroutines where they can be: FastAPI runs a plain function in a thread.


async def _context(request: Request) -> WebContext:
    return cast(WebContext, request.app.state.context)


async def _person(request: Request) -> Person:
    return person_of(request)


async def _sign_in(request: Request) -> SignIn:
    return cast(SignIn, request.app.state.sign_in)


async def _second_factors(request: Request) -> SecondFactors:
    return cast(SecondFactors, request.app.state.second_factors)


async def _provider(request: Request) -> ProviderSignIn | None:
    return cast(ProviderSignIn | None, request.app.state.provider)


async def _auditor(request: Request) -> Auditor:
    return cast(Auditor, request.app.state.auditor)


async def _page(request: Request) -> RenderPage:
    return partial(cast(Renderer, request.app.state.renderer).page, request)


Context = Annotated[WebContext, Depends(_context)]
CurrentPerson = Annotated[Person, Depends(_person)]
SignInService = Annotated[SignIn, Depends(_sign_in)]
SecondFactorService = Annotated[SecondFactors, Depends(_second_factors)]
ProviderService = Annotated[ProviderSignIn | None, Depends(_provider)]
AuditService = Annotated[Auditor, Depends(_auditor)]
Page = Annotated[RenderPage, Depends(_page)]


def existing_call(call_id: CallId, context: Context) -> CallRow:
    """Raises 404. Blocking."""
    with context.database.read() as conn:
        return existing("call", calls.get(conn, call_id))


async def _erasures(context: Context) -> ErasureOrders:
    return ErasureOrders(context.database, context.clock, carrier_usable=context.options.carrier_usable)


async def _holds(context: Context) -> LegalHolds:
    return LegalHolds(context.database, context.publisher, context.clock)


async def _notes(context: Context) -> Notes:
    return Notes(context.database, context.publisher, context.clock)


async def _labels(context: Context) -> Labeling:
    return Labeling(context.database, context.publisher, context.clock, context.options.retention)


async def _analyses(context: Context) -> Analyses:
    return Analyses(
        context.database, context.publisher, context.clock, await _labels(context),
        redacts=context.options.redaction.policy.redacts,
    )  # fmt: skip


async def _model(context: Context) -> ModelAccess:
    """Raises RequestConflictError without a language model."""
    if context.model is None:
        raise RequestConflictError("no language model is set")
    return context.model


async def _triage(context: Context) -> Triage:
    return Triage(context.database, context.publisher, context.clock)


async def _scorecards(context: Context) -> Scorecards:
    return Scorecards(context.database, context.clock)


async def _reviewing(context: Context) -> Reviewing:
    return Reviewing(context.database, context.publisher, context.clock)


async def _corrections(context: Context) -> Corrections:
    return Corrections(context.database, context.publisher, context.clock)


async def _roles(context: Context) -> RoleSwaps:
    return RoleSwaps(context.database, context.publisher, context.clock)


async def _redacting(context: Context) -> Redacting:
    return Redacting(context.database, context.publisher, context.clock, context.options.redaction)


async def _original(person: CurrentPerson, original: bool = False) -> bool:
    """Whether originals are wanted instead of redacted text and audio. Raises ForbiddenError."""
    if original and not person.may(Right.READ_ORIGINALS):
        raise ForbiddenError("you do not have permission to see originals")
    return original


ExistingCall = Annotated[CallRow, Depends(existing_call)]
Erasures = Annotated[ErasureOrders, Depends(_erasures)]
Holds = Annotated[LegalHolds, Depends(_holds)]
CallNotes = Annotated[Notes, Depends(_notes)]
CallLabels = Annotated[Labeling, Depends(_labels)]
CallAnalyses = Annotated[Analyses, Depends(_analyses)]
LanguageModel = Annotated[ModelAccess, Depends(_model)]
CallTriage = Annotated[Triage, Depends(_triage)]
ScorecardForms = Annotated[Scorecards, Depends(_scorecards)]
CallReviews = Annotated[Reviewing, Depends(_reviewing)]
CallCorrections = Annotated[Corrections, Depends(_corrections)]
CallRoles = Annotated[RoleSwaps, Depends(_roles)]
CallRedactions = Annotated[Redacting, Depends(_redacting)]
Original = Annotated[bool, Depends(_original)]
