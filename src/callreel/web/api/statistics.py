"""Figures by day, as the API answers them and the page of days shows them; agents get those of their own calls."""

from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import JSONResponse

from callreel.domain.events import Json
from callreel.review.statistics import day_figures
from callreel.web.api.time_parameters import zone_of
from callreel.web.auth.person import person_of
from callreel.web.options import WebContext

USUAL_DAYS = 30
MOST_DAYS = 400


def router(context: WebContext) -> APIRouter:
    """`/api/days`."""
    routes = APIRouter(tags=["days"])

    @routes.get("/api/days")
    def days(
        request: Request,
        since: Annotated[date | None, Query(alias="from")] = None,
        until: Annotated[date | None, Query(alias="to")] = None,
        zone: str = "UTC",
    ) -> JSONResponse:
        """Calls, minutes, spoken time, verdicts, storage and cost of each day, and the month's cost."""
        return JSONResponse(asked_days(context, person_of(request).own, since, until, zone))

    return routes


def asked_days(
    context: WebContext, own: str | None, since: date | None, until: date | None, zone: str
) -> dict[str, Json]:
    """What `day_figures` says of the days asked for, by default the last 30 in `zone`. Raises 422."""
    known = zone_of(zone)
    now = context.clock.now()
    last = until or now.astimezone(known).date()
    first = since or last - timedelta(days=USUAL_DAYS - 1)
    if not 0 <= (last - first).days < MOST_DAYS or not 1970 <= first.year <= last.year <= 9990:
        raise HTTPException(422, f"The days are from one to a later one, {MOST_DAYS} at most.")
    with context.database.read() as conn:
        return day_figures(conn, first, last, known, own, context.options.prices, now)
