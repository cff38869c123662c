"""The pages: calls, one call, days, people, oneself, and the API's description.

The calls, a call and the figures of days are drawn here and work without script, but for live text and charts; searching
and what changes people and tokens are done by script with the API, whose rights are checked there.
"""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from callreel.domain.access import Right
from callreel.domain.erasure import LONGEST_REASON
from callreel.domain.ids import CallId
from callreel.review.summary import call_head, call_summary, standings
from callreel.store.calls import call_list as call_list_of
from callreel.store.calls import erasures, holds, live_events, notes
from callreel.store.people import technicians, users
from callreel.store.transcripts import vocabulary
from callreel.web.api.erasure import hold_summary
from callreel.web.api.statistics import asked_days
from callreel.web.auth.person import person_of
from callreel.web.errors import not_found
from callreel.web.options import WebContext, WebOptions
from callreel.web.pages.calling_policy import calling_policy
from callreel.web.pages.layer_groups import layer_groups, main_audio, player_audio
from callreel.web.pages.render import Renderer

FILTERS: Final = ("q", "from", "to", "agent", "number", "state", "verdict", "min_s", "max_s", "notes", "held")
"""Query parameters of the list that the script answers, with the API."""


def router(context: WebContext, renderer: Renderer) -> APIRouter:
    """`/`, `/calls/{call_id}` and `/docs`."""
    routes = APIRouter(include_in_schema=False)
    options = context.options

    @routes.get("/")
    def call_list(request: Request, before: Annotated[datetime | None, Query()] = None) -> HTMLResponse:
        # The newest event's id is read with the rows, so that live updates go on exactly where the page ends.
        with context.database.read() as conn:
            after = live_events.last_id(conn)
            wanted = call_list_of.CallFilter(own=person_of(request).own)
            rows = call_list_of.page(conn, wanted, options.calls_per_page + 1, _utc(before))
            shown = rows[: options.calls_per_page]
            noted = notes.counts(conn, [row.id for row in shown])
            names = technicians.names_of(conn, {row.remote_number for row in shown})
            standing = standings(conn, [row.id for row in shown])
            agents = [] if wanted.own is not None else [user.identity for user in users.all_users(conn)]
        page = renderer.page(
            request,
            "calls.html",
            here="calls",
            filtered=any(request.query_params.get(name) for name in FILTERS),
            calls=[
                {**call_head(row, names), **standing[row.id], "notes": noted.get(row.id, 0)} for row in shown
            ],
            agents=agents,
            before=before,
            older=shown[-1].created_at.isoformat() if len(rows) > len(shown) else None,
            after=after,
            public_url=options.public_url or str(request.base_url).rstrip("/"),
        )
        page.headers["Content-Security-Policy"] = calling_policy(options.softphone)
        return page

    @routes.get("/calls/{call_id}")
    def one_call(request: Request, call_id: CallId) -> Response:
        person = person_of(request)
        with context.database.read() as conn:
            after = live_events.last_id(conn)
            call = call_summary(conn, call_id, options.prices)
            erased = call is None and erasures.get(conn, call_id) is not None
            held = holds.of_call(conn, call_id) if person.may(Right.HOLD_CALLS) else []
        if erased and person.may(Right.ERASE_CALLS):
            return RedirectResponse(f"/calls/{call_id}/erase", 303)
        if call is None:
            raise not_found("call")
        return renderer.page(
            request,
            "call.html",
            call=call,
            holds=[hold_summary(row) for row in held],
            longest_reason=LONGEST_REASON,
            after=after,
            layer_groups=layer_groups(call),
            main_audio=main_audio(call),
            player_audio=player_audio(call),
            rough_note=rough_note(options),
        )

    @routes.get("/days")
    def days(
        request: Request,
        since: Annotated[date | None, Query(alias="from")] = None,
        until: Annotated[date | None, Query(alias="to")] = None,
        zone: str = "UTC",
    ) -> HTMLResponse:
        figures = asked_days(context, person_of(request).own, since, until, zone)
        return renderer.page(request, "days.html", here="days", figures=figures)

    @routes.get("/technicians")
    def phone_book(request: Request) -> HTMLResponse:
        with context.database.read() as conn:
            phrases = [row.phrase for row in vocabulary.all_phrases(conn)]
        return renderer.page(request, "technicians.html", here="technicians", phrases=phrases)

    @routes.get("/settings")
    def settings(request: Request) -> HTMLResponse:
        changed = [line for line in options.settings if line.source != "default"]
        sections = {
            line.section: [one for one in options.settings if one.section == line.section]
            for line in options.settings
        }
        return renderer.page(
            request, "settings.html", here="settings", sections=sections, changed=len(changed)
        )

    @routes.get("/people")
    def people(request: Request) -> HTMLResponse:
        return renderer.page(request, "people.html", here="people")

    @routes.get("/me")
    def me(request: Request) -> HTMLResponse:
        return renderer.page(request, "me.html", here="me")

    @routes.get("/docs")
    def api_description(request: Request) -> HTMLResponse:
        return renderer.page(request, "docs.html", here="docs", operations=operations(request.app.openapi()))

    return routes


def rough_note(options: WebOptions) -> str:
    """What people must know of an engine of draft quality."""
    engine = options.engine_name or "The engine"
    return (
        f"{engine} runs with nothing to download, but its text is rough: read it as a hint of what was said, and "
        "listen where it matters. The settings name better engines."
    )


def operations(document: dict[str, Any]) -> list[dict[str, str]]:
    """The routes of an OpenAPI document as the page lists them."""
    return [
        {"method": method.upper(), "path": path, "description": described.get("description", "")}
        for path, item in sorted(document["paths"].items())
        for method, described in item.items()
    ]


def _utc(moment: datetime | None) -> datetime | None:
    """A time without a zone is UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
