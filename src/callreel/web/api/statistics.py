"""Daily statistics, for the API and for the page; agents get those of their own calls."""

from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from callreel.domain.events import Json
from callreel.review.statistics import day_figures
from callreel.web.api.time_parameters import zone_of
from callreel.web.dependencies import Context, CurrentPerson
from callreel.web.errors import InvalidError
from callreel.web.heavy_requests import heavy
from callreel.web.options import WebContext

DEFAULT_DAYS = 30
MOST_DAYS = 400
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(9990, 12, 31)

routes = APIRouter(tags=["days"])


class Period(BaseModel):
    """The requested days, both included."""

    since: date | None = Field(None, alias="from", ge=FIRST_DAY, le=LAST_DAY)
    until: date | None = Field(None, alias="to", ge=FIRST_DAY, le=LAST_DAY)
    zone: str = "UTC"


@routes.get("/api/v1/statistics")
@heavy
def days(context: Context, person: CurrentPerson, period: Annotated[Period, Query()]) -> JSONResponse:
    """Calls, minutes, speech time, verdicts, storage and cost of each day, and the month's cost."""
    return JSONResponse(statistics_of(context, person.own, period))


def statistics_of(context: WebContext, own: str | None, period: Period) -> dict[str, Json]:
    """The statistics of `period`, by default the last 30 days in its zone. Raises 422."""
    zone = zone_of(period.zone)
    now = context.clock.now()
    last = period.until or now.astimezone(zone).date()
    first = period.since or last - timedelta(days=DEFAULT_DAYS - 1)
    if not 0 <= (last - first).days < MOST_DAYS:
        raise InvalidError(f"a period ends on or after its first day and has at most {MOST_DAYS} days")
    with context.database.read() as conn:
        options = context.options
        return day_figures(conn, first, last, zone, own, options.prices, now, options.monthly_budget)
