"""The API of saved filters: one's own filters of the list of calls, under a name."""

from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import Field, ValidationError

from callreel.domain.events import Json
from callreel.store.audit.pending import describe
from callreel.store.people import saved_filters
from callreel.store.people.saved_filters import SavedFilterRow
from callreel.web.api.calls import CallQuery
from callreel.web.dependencies import Context, CurrentPerson
from callreel.web.errors import InvalidError, RequestConflictError, not_found
from callreel.web.pages.pages import FILTERS
from callreel.web.values import Body, RowId

LONGEST_NAME = 60
LONGEST_QUERY = 1000
MOST_FILTERS = 50
"""Of one person."""

routes = APIRouter(tags=["filters"])


class NewFilter(Body):
    """A filter as the list's address has it, such as `label=3&reviewed=false`."""

    name: str = Field(min_length=1, max_length=LONGEST_NAME, pattern=r"^\S(.*\S)?$")
    query: str = Field(min_length=1, max_length=LONGEST_QUERY)


@routes.get("/api/v1/filters")
def listed(context: Context, person: CurrentPerson) -> JSONResponse:
    """Your saved filters, by name."""
    with context.database.read() as conn:
        rows = saved_filters.of_person(conn, person.name)
    return JSONResponse({"filters": [filter_summary(row) for row in rows]})


@routes.post("/api/v1/filters", status_code=201)
def save(context: Context, person: CurrentPerson, wanted: NewFilter) -> JSONResponse:
    """Save a filter; it replaces your filter of this name."""
    query = checked_query(wanted.query)
    with context.database.write() as conn:
        others = [row for row in saved_filters.of_person(conn, person.name) if row.name != wanted.name]
        if len(others) >= MOST_FILTERS:
            raise RequestConflictError(f"a person has at most {MOST_FILTERS} saved filters; delete one first")
        row = saved_filters.put(conn, person.name, wanted.name, query, context.clock.now())
        describe(subject=str(row.id))
    return JSONResponse(filter_summary(row), 201)


@routes.delete("/api/v1/filters/{filter_id}", status_code=204)
def remove(context: Context, person: CurrentPerson, filter_id: RowId) -> Response:
    """Delete one of your saved filters."""
    with context.database.write() as conn:
        if not saved_filters.remove(conn, person.name, filter_id):
            raise not_found("filter")
    return Response(status_code=204)


def checked_query(text: str) -> str:
    """The filters in a query string, in their fixed order. Raises InvalidError."""
    given = {name: value for name, value in parse_qsl(text.removeprefix("?")) if value.strip()}
    if not given or not given.keys() <= set(FILTERS):
        raise InvalidError(f"expected filters of the list in a query string: {', '.join(FILTERS)}")
    try:
        CallQuery.model_validate(given)
    except ValidationError as error:
        wrong = ", ".join(sorted({str(item["loc"][0]) for item in error.errors()}))
        raise InvalidError(f"invalid values of filters: {wrong}") from None
    return urlencode([(name, given[name].strip()) for name in FILTERS if name in given])


def filter_summary(row: SavedFilterRow) -> dict[str, Json]:
    return {"id": row.id, "name": row.name, "query": row.query}
