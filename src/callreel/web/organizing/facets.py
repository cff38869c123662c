"""The API's facets of a list of calls: for each value of some filters, how many calls of the list have it."""

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from sqlalchemy import Connection

from callreel.domain.call import Direction
from callreel.domain.events import Json
from callreel.domain.verdict import Verdict
from callreel.insight.moment_kind import MomentKind
from callreel.store.calls import facets, labels
from callreel.store.calls.call_list import CallFilter
from callreel.web.api.calls import CallQuery, audit_search, with_typed_filters
from callreel.web.dependencies import AuditService, Context, CurrentPerson
from callreel.web.heavy_requests import heavy

MOST_VALUES: Final = 12
"""Of one facet: those with the most calls, and the chosen one."""
NO_VERDICT: Final = "none"

routes = APIRouter(tags=["calls"])


@routes.get("/api/v1/facets")
@heavy
def list_facets(
    context: Context,
    auditor: AuditService,
    person: CurrentPerson,
    request: Request,
    query: Annotated[CallQuery, Query()],
) -> JSONResponse:
    """How many calls of `GET /api/v1/calls` with the same parameters have each agent, verdict, label, direction and kind of moment."""
    wanted = query.filter(person.own, person.name)
    audit_search(context, auditor, request, query)
    with context.database.read() as conn:
        return JSONResponse(facet_summary(conn, with_typed_filters(conn, context, wanted, query)))


def facet_summary(conn: Connection, wanted: CallFilter) -> dict[str, Json]:
    """The facets of a list, as the API answers them. Values of fixed sets are in their order, others by number of calls.

    Someone who sees only own calls has no facet of agents.
    """
    found = facets.count(conn, wanted)
    verdict = NO_VERDICT if wanted.judged is False else wanted.verdict
    verdicts = {one or NO_VERDICT: found.verdicts.get(one, 0) for one in (*Verdict, None)}
    names = {str(row.id): row.name for row in labels.all_labels(conn)}
    by_label = {str(label_id): number for label_id, number in found.labels.items()}
    return {
        "facets": [
            *([] if wanted.own is not None else [_facet("agent", _most(found.agents), wanted.agent)]),
            _facet("verdict", verdicts, verdict),
            _facet("label", _most(by_label), None if wanted.label is None else str(wanted.label), names),
            _facet("direction", {one: found.directions.get(one, 0) for one in Direction}, wanted.direction),
            _facet("moment", {one: found.moments.get(one, 0) for one in MomentKind}, wanted.moment),
        ],
        "since": None if found.since is None else found.since.isoformat(),
    }


def _most(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def _facet(
    name: str, counts: Mapping[str, int], chosen: str | None, names: Mapping[str, str] | None = None
) -> dict[str, Json]:
    """`name` and the values are those of the list's parameter."""
    known = {value: number for value, number in counts.items() if number or value == chosen}
    if chosen is not None:
        known.setdefault(chosen, 0)
    shown = [value for n, value in enumerate(known) if n < MOST_VALUES or value == chosen]
    return {
        "name": name,
        "values": [
            {
                "value": str(value),
                "name": str(value) if names is None else names.get(value, str(value)),
                "calls": known[value],
                "chosen": value == chosen,
            }
            for value in shown
        ],
        "more": len(known) - len(shown),
    }
