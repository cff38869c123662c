"""The results of scorecards: a page, the same figures by the API, and every answer as CSV. For those who see all calls."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BeforeValidator, Field

from callreel.domain.access import LONGEST_NAME
from callreel.formats.scorecard_csv import scorecard_csv
from callreel.scorecards.results import COLUMNS, ResultFilter, result_rows, results
from callreel.scorecards.summary import scorecard_summaries
from callreel.web.api.statistics import MOST_DAYS, Period
from callreel.web.api.time_parameters import end_of, start_of, zone_of
from callreel.web.dependencies import Context, Page
from callreel.web.errors import InvalidError
from callreel.web.heavy_requests import heavy
from callreel.web.options import WebContext
from callreel.web.values import LARGEST_INTEGER

DEFAULT_DAYS = 90

routes = APIRouter(tags=["scorecards"])


class ResultQuery(Period):
    """Calls of these days, by default the last 90; only those with this scorecard, or of this agent."""

    # The page's form sends an empty text for all scorecards.
    scorecard: Annotated[int | None, BeforeValidator(lambda given: given or None)] = Field(
        None, ge=1, le=LARGEST_INTEGER
    )
    agent: str | None = Field(None, max_length=LONGEST_NAME)


@routes.get("/api/v1/scorecards/results")
@heavy
def figures(context: Context, query: Annotated[ResultQuery, Query()]) -> JSONResponse:
    """Mean scores of all finished reviews, by agent and month, and by question. A disputed review counts as it stands."""
    with context.database.read() as conn:
        return JSONResponse(results(conn, _filter(context, query)))


@routes.get("/scorecards/results.csv", include_in_schema=False)
@heavy
def download(context: Context, query: Annotated[ResultQuery, Query()]) -> Response:
    with context.database.read() as conn:
        text = scorecard_csv(COLUMNS, result_rows(conn, _filter(context, query)))
    headers = {"Content-Disposition": 'attachment; filename="scorecards.csv"', "Cache-Control": "no-store"}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


@routes.get("/scorecards/results", include_in_schema=False)
@heavy
def result_page(context: Context, page: Page, query: Annotated[ResultQuery, Query()]) -> HTMLResponse:
    wanted = _filter(context, query)
    with context.database.read() as conn:
        found = results(conn, wanted)
        cards = scorecard_summaries(conn)
    return page(
        "scorecard_results.html",
        here="scorecards",
        results=found,
        scorecards=cards,
        chosen=query,
        zone=query.zone,
        first=wanted.first.astimezone(wanted.zone).date(),
        last=(wanted.before - timedelta(seconds=1)).astimezone(wanted.zone).date(),
    )


def _filter(context: WebContext, query: ResultQuery) -> ResultFilter:
    zone = zone_of(query.zone)
    last = query.until or context.clock.now().astimezone(zone).date()
    first = query.since or last - timedelta(days=DEFAULT_DAYS - 1)
    if not 0 <= (last - first).days < MOST_DAYS:
        raise InvalidError(f"a period ends on or after its first day and has at most {MOST_DAYS} days")
    began, ended = start_of(first.isoformat(), zone), end_of(last.isoformat(), zone)
    assert began is not None and ended is not None
    return ResultFilter(began, ended, zone, query.scorecard, query.agent or None)
