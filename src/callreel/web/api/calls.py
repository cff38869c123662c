"""The API's calls: the list, filtered and searched, and one call with all that is known of it.

What each address answers is described in docs/api.md; `review/summary.py` makes it.
"""

import re
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from callreel.domain.call import CallState
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.domain.verdict import Verdict
from callreel.review.summary import Summary, call_head, call_summary, standings
from callreel.store.calls import call_list, notes
from callreel.store.calls.call_list import CallFilter
from callreel.store.people import technicians
from callreel.store.transcripts import search
from callreel.store.transcripts.search import Hits
from callreel.store.transcripts.search_query import parse
from callreel.web.api.time_parameters import aware, begin_of, end_of, zone_of
from callreel.web.auth.person import person_of
from callreel.web.errors import not_found
from callreel.web.options import WebContext

LONGEST_QUERY = 500


def router(context: WebContext) -> APIRouter:
    """`/api/calls` and `/api/calls/{call_id}`."""
    routes = APIRouter()

    @routes.get("/api/calls", tags=["calls"])
    def list_calls(
        request: Request,
        q: Annotated[str, Query(max_length=LONGEST_QUERY)] = "",
        since: Annotated[str | None, Query(alias="from")] = None,
        until: Annotated[str | None, Query(alias="to")] = None,
        agent: str | None = None,
        number: Annotated[str, Query(max_length=100)] = "",
        state: CallState | None = None,
        verdict: Verdict | Literal["none"] | None = None,
        min_s: Annotated[float | None, Query(ge=0)] = None,
        max_s: Annotated[float | None, Query(ge=0)] = None,
        with_notes: Annotated[bool, Query(alias="notes")] = False,
        held: bool = False,
        zone: str = "UTC",
        before: datetime | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> JSONResponse:
        """Calls, newest first, filtered and searched. `next_before` is the `before` of the next page, null on the last."""
        days_of, party = zone_of(zone), number.strip()
        by_name = any(character.isalpha() for character in party)
        wanted = CallFilter(
            query=parse(q),
            since=begin_of(since, days_of),
            until=end_of(until, days_of),
            agent=agent or None,
            number=None if by_name else re.sub(r"[^\d+]", "", party),
            number_name=party if by_name else None,
            state=state,
            verdict=verdict if isinstance(verdict, Verdict) else None,
            judged=False if verdict == "none" else None,
            min_s=min_s,
            max_s=max_s,
            noted=with_notes,
            held=held,
            own=person_of(request).own,
        )
        return JSONResponse(call_page(context, wanted, limit, aware(before)))

    @routes.get("/api/calls/{call_id}", tags=["calls"])
    def one_call(call_id: CallId, words: bool = False, machine: bool = False) -> JSONResponse:
        """One call: parties, layers, transcripts, notes, verdict, cloud recording and cost. `words` adds word times."""
        with context.database.read() as conn:
            summary = call_summary(conn, call_id, context.options.prices, words=words, machine=machine)
        if summary is None:
            raise not_found("call")
        return JSONResponse(summary)

    return routes


def call_page(context: WebContext, wanted: CallFilter, limit: int, before: datetime | None = None) -> Summary:
    """One page of the list, as the API answers it."""
    with context.database.read() as conn:
        rows = call_list.page(conn, wanted, limit + 1, before)
        shown = rows[:limit]
        ids = [row.id for row in shown]
        noted = notes.counts(conn, ids)
        names = technicians.names_of(conn, {row.remote_number for row in shown})
        standing = standings(conn, ids)
        hits = search.hits_of(conn, ids, wanted.query)
    return {
        "calls": [
            {
                **call_head(row, names),
                **standing[row.id],
                "notes": noted.get(row.id, 0),
                **_hits(hits.get(row.id, Hits())),
            }
            for row in shown
        ],
        "next_before": shown[-1].created_at.isoformat() if len(rows) > limit else None,
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
