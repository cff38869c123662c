"""The report of a week, for supervisors: what happened, beside the week before, and which calls to review."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from callreel.review.weekly import LONG_SILENCE_S, MANY_INTERRUPTIONS
from callreel.web.api.report import report_of
from callreel.web.api.time_parameters import zone_of
from callreel.web.dependencies import Context, Page
from callreel.web.heavy_requests import heavy

routes = APIRouter(include_in_schema=False)


@routes.get("/report")
@heavy
def report(context: Context, page: Page, week: str | None = None, zone: str = "UTC") -> HTMLResponse:
    chosen, found = report_of(context, week, zone)
    today = context.clock.now().astimezone(zone_of(zone)).date()
    following = chosen.after if chosen.after.monday <= today else None
    return page(
        "report.html",
        here="report",
        report=found,
        following=following,
        long_silence_s=LONG_SILENCE_S,
        many_interruptions=MANY_INTERRUPTIONS,
    )
