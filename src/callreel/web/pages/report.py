"""The report of a week, for supervisors: what happened, beside the week before, and which calls to review."""

from datetime import tzinfo

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from callreel.domain.week import Week
from callreel.review.weekly import LONG_SILENCE_S, MANY_INTERRUPTIONS, weekly_report
from callreel.web.api.time_parameters import zone_of
from callreel.web.dependencies import Context, Page
from callreel.web.errors import InvalidError
from callreel.web.heavy_requests import heavy
from callreel.web.options import WebContext

routes = APIRouter(include_in_schema=False)


@routes.get("/report")
@heavy
def report(context: Context, page: Page, week: str | None = None, zone: str = "UTC") -> HTMLResponse:
    reader = zone_of(zone)
    chosen = _week(context, week, reader)
    with context.database.read() as conn:
        found = weekly_report(conn, chosen, reader)
    following = chosen.after if chosen.after.monday <= context.clock.now().astimezone(reader).date() else None
    return page(
        "report.html",
        here="report",
        report=found,
        following=following,
        long_silence_s=LONG_SILENCE_S,
        many_interruptions=MANY_INTERRUPTIONS,
    )


def _week(context: WebContext, text: str | None, zone: tzinfo) -> Week:
    """The week that is asked for, by default the last complete one. Raises InvalidError."""
    if text is None:
        return Week.of(context.clock.now().astimezone(zone).date()).before
    try:
        return Week.parse(text)
    except ValueError:
        raise InvalidError("a week looks like 2026-W48") from None
