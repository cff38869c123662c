"""The JSON API: calls, newest first, and one call with all that is known of it. Made by `services/summary.py`."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from callreel.domain.ids import CallId
from callreel.services.summary import call_head, call_summary
from callreel.store import calls
from callreel.web.errors import not_found
from callreel.web.options import WebContext


def router(context: WebContext) -> APIRouter:
    """`/api/...` and `/health`."""
    routes = APIRouter()

    @routes.get("/health", tags=["service"])
    def health() -> JSONResponse:
        """Whether the server is up and its database answers. Needs no sign-in and tells nothing else."""
        with context.database.read() as conn:
            calls.latest(conn, limit=1)
        return JSONResponse({"status": "ok"})

    @routes.get("/api/calls", tags=["calls"])
    def list_calls(
        before: datetime | None = None, limit: Annotated[int, Query(ge=1, le=500)] = 50
    ) -> JSONResponse:
        """Calls, newest first. `next_before` is the `before` of the next page, null on the last one."""
        with context.database.read() as conn:
            rows = calls.latest(conn, limit + 1, _aware(before))
        listed = [call_head(row) for row in rows[:limit]]
        more = rows[limit - 1].created_at.isoformat() if len(rows) > limit else None
        return JSONResponse({"calls": listed, "next_before": more})

    @routes.get("/api/calls/{call_id}", tags=["calls"])
    def one_call(call_id: CallId, words: bool = False) -> JSONResponse:
        """One call: parties, layers, both transcripts, verdict, cloud recording and cost. `words` adds word times."""
        with context.database.read() as conn:
            summary = call_summary(conn, call_id, context.options.prices, words=words)
        if summary is None:
            raise not_found("call")
        return JSONResponse(summary)

    return routes


def _aware(moment: datetime | None) -> datetime | None:
    """A time without a zone is UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
