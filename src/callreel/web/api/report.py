"""The report of a week as JSON, for people and tools that may see all calls; the page shows the same."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from callreel.domain.events import Json
from callreel.review.week import Week
from callreel.review.weekly import weekly_report
from callreel.web.api.time_parameters import zone_of
from callreel.web.dependencies import Context
from callreel.web.errors import InvalidError
from callreel.web.heavy_requests import heavy
from callreel.web.options import WebContext

routes = APIRouter(tags=["days"])


@routes.get("/api/v1/report")
@heavy
def report(context: Context, week: str | None = None, zone: str = "UTC") -> JSONResponse:
    """Volume, busiest hours, silences, alerts, verdicts and labels of a week, by default the last complete one, and its calls to review."""
    _, found = report_of(context, week, zone)
    return JSONResponse(found)


def report_of(context: WebContext, week: str | None, zone: str) -> tuple[Week, dict[str, Json]]:
    """The week that is asked for, by default the last complete one in its zone, and its report. Raises InvalidError."""
    reader = zone_of(zone)
    if week is None:
        chosen = Week.last_complete(context.clock.now(), reader)
    else:
        try:
            chosen = Week.parse(week)
        except ValueError:
            raise InvalidError("a week looks like 2026-W48") from None
    with context.database.read() as conn:
        return chosen, weekly_report(conn, chosen, reader)
