"""The pages: calls, one call, daily statistics, people, own account, settings, API description.

Lists, calls and statistics work without script, except live text and charts. Search, people and tokens are edited by
script through the API, which checks the rights.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from callreel.domain.access import Right
from callreel.domain.erasure import LONGEST_REASON
from callreel.domain.ids import CallId
from callreel.domain.redaction import Entity
from callreel.insight.analysis import LONGEST_DUE, LONGEST_TEXT, Sentiment
from callreel.retention.policies import expiry_summary
from callreel.review.summary import call_summary
from callreel.review.triage import assignable
from callreel.runtime.secret_tokens import token_hash
from callreel.store.calls import erasures, holds, labels, live_events
from callreel.store.calls.call_list import CallFilter
from callreel.store.people import saved_filters, second_factors, sessions, users
from callreel.store.transcripts import phrase_rules, vocabulary
from callreel.web.api.audit import listed_accesses
from callreel.web.api.calls import call_page
from callreel.web.api.erasure import hold_summary
from callreel.web.api.statistics import Period, statistics_of
from callreel.web.api.time_parameters import position_of
from callreel.web.auth.signin import session_token
from callreel.web.dependencies import AuditService, Context, CurrentPerson, Original, Page, SignInService
from callreel.web.errors import not_found
from callreel.web.heavy_requests import heavy
from callreel.web.pages.api_page import operations
from callreel.web.pages.calling_policy import calling_policy
from callreel.web.pages.layer_groups import layer_groups, main_audio, player_audio
from callreel.web.pages.sentiment_course import sentiment_course
from callreel.web.pages.speech_strip import speech_strip

FILTERS: Final = ("q", "from", "to", "agent", "number", "state", "direction", "verdict", "min_s", "max_s", "notes", "held", "alert", "moment", "label", "reviewed", "assigned",
                  "min_silence_s", "min_interruptions", "min_agent_ratio", "sort")  # fmt: skip
"""Query parameters of the list that the script applies, through the API."""

routes = APIRouter(include_in_schema=False)


@routes.get("/")
def call_list(
    context: Context,
    page: Page,
    request: Request,
    person: CurrentPerson,
    before: str | None = None,
) -> HTMLResponse:
    options, own = context.options, person.own
    # One snapshot for the newest event's id and the rows, so that live updates continue exactly where the page ends.
    with context.database.read() as conn:
        after = live_events.last_id(conn)
        listed = call_page(conn, CallFilter(own=own), options.calls_per_page, position_of(before))
        everyone = [] if own is not None else users.all_users(conn)
        all_labels = labels.all_labels(conn)
        rules = phrase_rules.all_rules(conn) if person.may(Right.WRITE_RULES) else []
        saved = saved_filters.of_person(conn, person.name)
        people = sorted({person.name, *assignable(conn)}) if person.may(Right.REVIEW_CALLS) else []
    response = page(
        "calls.html",
        here="calls",
        filtered=any(request.query_params.get(name) for name in FILTERS),
        calls=listed["calls"],
        agents=[user.identity for user in everyone],
        names=[user.name for user in everyone],
        labels=all_labels,
        rules=rules,
        saved=saved,
        people=people,
        longest_reason=LONGEST_REASON,
        before=before,
        older=listed["next_before"],
        after=after,
        public_url=options.public_url or str(request.base_url).rstrip("/"),
    )
    response.headers["Content-Security-Policy"] = calling_policy(options.softphone)
    return response


@routes.get("/calls/{call_id}")
@heavy
def one_call(
    context: Context,
    auditor: AuditService,
    page: Page,
    person: CurrentPerson,
    call_id: CallId,
    original: Original,
) -> Response:
    with context.database.read() as conn:
        after = live_events.last_id(conn)
        call = call_summary(conn, call_id, context.options.prices, original=original)
        erased = call is None and erasures.get(conn, call_id) is not None
        held = holds.of_call(conn, call_id) if person.may(Right.HOLD_CALLS) else []
        accesses = listed_accesses(conn, call_id) if person.may(Right.READ_ACCESSES) else []
        expiry = expiry_summary(conn, context.options.retention, call_id)
        all_labels = labels.all_labels(conn)
        people = assignable(conn, str(call["agent"])) if call and person.may(Right.REVIEW_CALLS) else []
    if erased and person.may(Right.ERASE_CALLS):
        return RedirectResponse(f"/calls/{call_id}/erase", 303)
    if call is None:
        raise not_found("call")
    call |= expiry
    return page(
        "call.html",
        call=call,
        holds=[hold_summary(row) for row in held],
        labels=all_labels,
        own_call=call["agent"] == person.identity,
        people=people if person.name in people else [person.name, *people],
        longest_reason=LONGEST_REASON,
        accesses=accesses,
        needs_reason=context.options.playback_reason and auditor.reason(person, call_id) is None,
        entities=list(Entity),
        longest_text=LONGEST_TEXT,
        longest_due=LONGEST_DUE,
        sentiments=list(Sentiment),
        after=after,
        speech=speech_strip(call["measures"]),
        courses=sentiment_course(call),
        layer_groups=layer_groups(call, with_errors=person.may(Right.READ_ALL_CALLS)),
        main_audio=main_audio(call),
        player_audio=player_audio(call),
    )


@routes.get("/statistics")
@heavy
def days(
    context: Context,
    page: Page,
    person: CurrentPerson,
    period: Annotated[Period, Query()],
) -> HTMLResponse:
    figures = statistics_of(context, person.own, period)
    return page("days.html", here="days", figures=figures)


@routes.get("/technicians")
def phone_book(context: Context, page: Page) -> HTMLResponse:
    with context.database.read() as conn:
        phrases = [row.phrase for row in vocabulary.all_phrases(conn)]
    return page("technicians.html", here="technicians", phrases=phrases)


@routes.get("/settings")
def settings(context: Context, page: Page) -> HTMLResponse:
    shown = context.options.settings
    changed = sum(line.source != "default" for line in shown)
    sections = {
        section: [line for line in shown if line.section == section]
        for section in dict.fromkeys(line.section for line in shown)
    }
    fault = context.options.language_model_fault()
    return page("settings.html", here="settings", sections=sections, changed=changed, model_fault=fault)


@routes.get("/consent")
def consent(context: Context, page: Page) -> HTMLResponse:
    return page("consent.html", here="consent", jurisdictions=context.options.jurisdictions)


@routes.get("/people")
def people(page: Page) -> HTMLResponse:
    return page("people.html", here="people")


@routes.get("/me")
def me(
    context: Context, sign_in: SignInService, page: Page, request: Request, person: CurrentPerson
) -> HTMLResponse:
    with context.database.read() as conn:
        rows = sessions.all_open(conn, context.clock.now(), sign_in.idle_s, person.id or 0)
        enrolled = second_factors.get(conn, person.id or 0) is not None
    current = token_hash(session_token(request.scope) or "")
    return page("me.html", here="me", sessions=rows, current=current, enrolled=enrolled, local=person.local)


@routes.get("/docs")
def api_description(context: Context, page: Page, request: Request) -> HTMLResponse:
    base_url = (context.options.public_url or str(request.base_url)).rstrip("/")
    described = operations(request.app.openapi(), base_url)
    return page("docs.html", here="docs", operations=described)
