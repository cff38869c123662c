"""The API and the page of retention: policies, what they delete next, what they deleted, and requests about a number."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from pydantic import Field

from callreel.domain.erasure import LONGEST_REASON
from callreel.domain.events import Json
from callreel.domain.json_time import json_time
from callreel.domain.retention import Rule, parse_rules
from callreel.postcall.redacted_audio import silences_of
from callreel.retention import policies
from callreel.retention.subject_access import NumberError, SubjectAccess
from callreel.store.calls import expired
from callreel.web.dependencies import Context, CurrentPerson, Original, Page
from callreel.web.errors import InvalidError, sentence
from callreel.web.heavy_requests import heavy
from callreel.web.options import WebContext
from callreel.web.values import Body, Storable

MOST_SHOWN = 200
LONGEST_RULES = 4000
Days = Annotated[int, Query(ge=0, le=3650)]
Rules = Annotated[str | None, Query(max_length=LONGEST_RULES)]
Number = Annotated[str, Query(max_length=100)]

routes = APIRouter(tags=["retention"])


class SubjectErasure(Body):
    """Whose calls to erase, and why."""

    number: str = Field(max_length=100)
    reason: str = Field(default="", max_length=LONGEST_REASON)


@routes.get("/api/v1/retention")
@heavy
def retention(context: Context, rules: Rules = None, days: Days = 0) -> JSONResponse:
    """The policies, what they delete within `days`, and what they deleted. `rules` tries others; nothing is deleted."""
    try:
        return JSONResponse(_state(context, _rules(context, rules), days))
    except ValueError as error:
        raise InvalidError(str(error)) from None


@routes.get("/retention", include_in_schema=False)
@heavy
def retention_page(
    context: Context, page: Page, rules: Rules = None, days: Days = 30, number: Number = ""
) -> HTMLResponse:
    problem, state, found, filters = None, None, None, 0
    try:
        state = _state(context, _rules(context, rules), days)
        if number:
            access = _access(context)
            found, filters = access.calls_of(number), len(access.filters_of(number))
    except (ValueError, NumberError) as error:
        problem = sentence(error)
    shown = rules if rules is not None else "; ".join(rule.text for rule in context.options.retention)
    return page(
        "retention.html", 422 if problem else 200, here="operations", state=state, rules=shown, days=days, number=number,
        found=found, filters=filters, problem=problem, tried=rules is not None, longest=LONGEST_REASON,
    )  # fmt: skip


@routes.get("/api/v1/subject-access", response_class=StreamingResponse)
def subject_access(context: Context, number: Number, original: Original) -> StreamingResponse:
    """Everything about one phone number as a ZIP file: calls, transcripts, notes, audio, the phone book's entry, saved filters."""
    access = _access(context)
    pieces = access.archive(
        number,
        access.calls_of(number),  # refuses what is not a number before the answer begins
        context.options.role_names,
        silences_of(context.options.redaction.margin_ms),
        original=original,
    )
    headers = {"Content-Disposition": 'attachment; filename="calls.zip"', "Cache-Control": "no-store"}
    return StreamingResponse(pieces, media_type="application/zip", headers=headers)


@routes.post("/api/v1/subject-access/erase", status_code=202)
def erase_subject(context: Context, person: CurrentPerson, wanted: SubjectErasure) -> JSONResponse:
    """Order the erasure of every call with a phone number, and delete saved filters with it; `refused` says why calls stay."""
    access = _access(context)
    done = access.erase(wanted.number, access.calls_of(wanted.number), person.name, wanted.reason)
    return JSONResponse({"ordered": done.ordered, "refused": done.refused, "filters": done.filters}, 202)


@routes.post("/retention/erase", include_in_schema=False)
def erase_by_form(
    context: Context,
    page: Page,
    person: CurrentPerson,
    number: Annotated[str, Form(max_length=100), Storable],
    reason: Annotated[str, Form(max_length=LONGEST_REASON), Storable] = "",
) -> HTMLResponse:
    access = _access(context)
    done = access.erase(number, access.calls_of(number), person.name, reason)
    return page("subject_erased.html", here="operations", done=done)


def _access(context: WebContext) -> SubjectAccess:
    usable = context.options.carrier_usable
    return SubjectAccess(context.database, context.blobs, context.clock, carrier_usable=usable)


def _rules(context: WebContext, text: str | None) -> tuple[Rule, ...]:
    return tuple(context.options.retention) if text is None else parse_rules(text)


def _state(context: WebContext, rules: tuple[Rule, ...], days: int) -> dict[str, Json]:
    due = policies.preview(context.database, rules, context.clock.now() + timedelta(days=days))
    with context.database.read() as conn:
        report = expired.newest(conn, MOST_SHOWN)
    return {
        "policies": [rule.text for rule in rules],
        "days": days,
        "totals": [
            {"policy": policy, "calls": going, "held": kept} for policy, going, kept in policies.totals(due)
        ],
        "due": [
            {
                "call_id": one.call_id,
                "data": one.kind.value,
                "at": json_time(one.at),
                "policy": one.policy,
                "held": one.held,
            }
            for one in due[:MOST_SHOWN]
        ],
        "due_total": len(due),
        "report": [policies.expired_summary(row) for row in report],
    }
