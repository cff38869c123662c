"""The API's list of calls, filtered and searched, and one call with everything stored about it.

docs/api.md describes the answers; `review/summary.py` makes them.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from callreel.domain.access import LONGEST_NAME
from callreel.domain.audit import AuditAction
from callreel.domain.call import CallState, Direction
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.domain.verdict import Verdict
from callreel.insight.moment_kind import MomentKind
from callreel.retention.policies import expiry_summary
from callreel.review.measures import measures_head
from callreel.review.summary import Summary, call_head, call_summary, standings, triage_summary
from callreel.store.calls import call_list, measures, notes
from callreel.store.calls.call_list import CallFilter, Position, Sort
from callreel.store.people import technicians
from callreel.store.transcripts import search
from callreel.store.transcripts.search import Hits
from callreel.store.transcripts.search_filters import split_filters
from callreel.web.api.time_parameters import end_of, position_of, start_of, zone_of
from callreel.web.auth.auditor import Auditor
from callreel.web.dependencies import AuditService, Context, CurrentPerson, Original
from callreel.web.errors import existing
from callreel.web.heavy_requests import heavy
from callreel.web.options import WebContext
from callreel.web.organizing.typed_filters import Reader, narrowed, number_filter
from callreel.web.values import LARGEST_INTEGER

LONGEST_QUERY = 500
LONGEST_CALL_S = 1_000_000

RuleId = Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]

routes = APIRouter(tags=["calls"])


class CallQuery(BaseModel):
    """The query parameters of `GET /api/v1/calls`."""

    q: str = Field("", max_length=LONGEST_QUERY)
    since: str | None = Field(None, alias="from")
    until: str | None = Field(None, alias="to")
    agent: str | None = Field(None, max_length=200)
    number: str = Field("", max_length=100)
    state: CallState | None = None
    direction: Direction | None = None
    verdict: Verdict | Literal["none"] | None = None
    min_s: float | None = Field(None, ge=0, le=LONGEST_CALL_S)
    max_s: float | None = Field(None, ge=0, le=LONGEST_CALL_S)
    notes: bool = False
    held: bool = False
    alert: Literal["any"] | RuleId | None = None
    moment: MomentKind | None = None
    label: int | None = Field(None, ge=1, le=LARGEST_INTEGER)
    reviewed: bool | None = None
    assigned: str | None = Field(None, max_length=LONGEST_NAME)
    min_silence_s: float | None = Field(None, ge=0, le=LONGEST_CALL_S)
    min_interruptions: int | None = Field(None, ge=0, le=1_000_000)
    min_agent_ratio: float | None = Field(None, ge=0, le=1)
    max_agent_ratio: float | None = Field(None, ge=0, le=1)
    sort: Sort = Sort.NEWEST
    zone: str = "UTC"
    before: str | None = None
    limit: int = Field(50, ge=1, le=500)

    def filter(self, own: str | None, me: str) -> CallFilter:
        """The calls to list, without `q`; `own` limits them to those of one agent, `me` is the name of who lists them. Raises 422."""
        zone, party = zone_of(self.zone), number_filter(self.number)
        return CallFilter(
            since=start_of(self.since, zone),
            until=end_of(self.until, zone),
            agent=self.agent or None,
            number=party.get("number"),
            number_name=party.get("number_name"),
            state=self.state,
            direction=self.direction,
            verdict=self.verdict if isinstance(self.verdict, Verdict) else None,
            judged=False if self.verdict == "none" else None,
            min_s=self.min_s,
            max_s=self.max_s,
            noted=self.notes,
            held=self.held,
            alert=self.alert == "any",
            alert_rule=self.alert if isinstance(self.alert, int) else None,
            moment=self.moment,
            label=self.label,
            reviewed=self.reviewed,
            assigned_to={"me": me, "none": None, "": None}.get(self.assigned or "", self.assigned),
            unassigned=self.assigned == "none",
            min_silence_s=self.min_silence_s,
            min_interruptions=self.min_interruptions,
            min_agent_ratio=self.min_agent_ratio,
            max_agent_ratio=self.max_agent_ratio,
            own=own,
        )


@routes.get("/api/v1/calls")
@heavy
def list_calls(
    context: Context,
    auditor: AuditService,
    person: CurrentPerson,
    request: Request,
    query: Annotated[CallQuery, Query()],
) -> JSONResponse:
    """Calls, newest first or sorted by a measure, filtered and searched. `next_before` is the `before` of the next page, null on the last."""
    wanted = query.filter(person.own, person.name)
    audit_search(context, auditor, request, query)
    with context.database.read() as conn:
        wanted = with_typed_filters(conn, context, wanted, query)
        return JSONResponse(call_page(conn, wanted, query.limit, position_of(query.before), query.sort))


@routes.get("/api/v1/calls/{call_id}")
@heavy
def one_call(
    context: Context, call_id: CallId, original: Original, words: bool = False, machine: bool = False
) -> JSONResponse:
    """One call: parties, layers, transcripts, notes, verdict, cloud recording and cost. `words` adds word times.

    `original=true` shows what is redacted, to people with the right to it.
    """
    with context.database.read() as conn:
        prices = context.options.prices
        found = call_summary(conn, call_id, prices, words=words, machine=machine, original=original)
        summary = existing("call", found)
        summary |= expiry_summary(conn, context.options.retention, call_id)
    if isinstance(recording := summary["recording"], dict):
        items = context.work.unfinished(str(recording["sid"]))
        recording["work"] = [{"workflow": item.workflow, "state": item.state} for item in items]
    return JSONResponse(summary)


def audit_search(context: WebContext, auditor: Auditor, request: Request, query: CallQuery) -> None:
    """Append a search for words to the audit trail; what a page repeats is one entry."""
    if query.q.strip():
        text = query.q.strip() if context.options.audit_search_text else ""
        auditor.extend_often(auditor.event(request.scope, AuditAction.SEARCHED, subject=text))


def with_typed_filters(
    conn: Connection, context: WebContext, wanted: CallFilter, query: CallQuery
) -> CallFilter:
    """`wanted` with the words and filters of `q`. Raises 422."""
    reader = Reader(zone_of(query.zone), context.options.role_names)
    return narrowed(conn, wanted, split_filters(query.q), reader)


def call_page(
    conn: Connection,
    wanted: CallFilter,
    limit: int,
    before: Position | None = None,
    sort: Sort = Sort.NEWEST,
) -> Summary:
    """One page of the list, as the API answers it."""
    found = call_list.sorted_page(conn, wanted, sort, limit + 1, before)
    shown = [row for row, _ in found[:limit]]
    ids = [row.id for row in shown]
    noted = notes.counts(conn, ids)
    names = technicians.names_of(conn, {row.remote_number for row in shown})
    standing = standings(conn, ids)
    measured = measures.heads(conn, ids)
    hits = search.hits_of(conn, ids, wanted.query)
    first = search.beginnings(conn, [call_id for call_id in ids if standing[call_id]["topic"] is None])
    return {
        "calls": [
            {
                **call_head(row, names),
                **standing[row.id],
                "first_words": first.get(row.id),
                **triage_summary(row),
                "notes": noted.get(row.id, 0),
                "measures": measures_head(measured.get(row.id)),
                **_hits(hits.get(row.id, Hits())),
            }
            for row in shown
        ],
        "unsearchable": wanted.query.unsearchable,
        "next_before": str(found[limit - 1][1]) if len(found) > limit else None,
    }


def _hits(found: Hits) -> dict[str, Json]:
    return {
        "hits": [
            {
                "role": hit.role.value,
                "start_ms": hit.start_ms,
                "parts": [{"text": part.text, "hit": part.hit} for part in hit.parts],
            }
            for hit in found.first
        ],
        "hits_total": found.total,
    }
