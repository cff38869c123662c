"""The API of the audit trail: entries for administrators, a call's accesses for supervisors, reasons for playback."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from callreel.domain.audit import ACCESSES, AuditAction, AuditEntry
from callreel.domain.erasure import LONGEST_REASON
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.formats.audit_trail import entry_json, trail_csv, trail_json
from callreel.store.audit import accesses, trail
from callreel.store.audit.accesses import OpenAccess
from callreel.store.audit.pending import describe
from callreel.store.audit.trail import TrailFilter
from callreel.web.api.time_parameters import end_of, start_of, zone_of
from callreel.web.dependencies import Context, ExistingCall
from callreel.web.options import WebContext
from callreel.web.values import LARGEST_INTEGER, Body

MOST_ACCESSES: Final = 200

routes = APIRouter(tags=["audit"])


class Ending(StrEnum):
    """The formats of an export."""

    CSV = "csv"
    JSON = "json"


class Reason(Body):
    """Why you listen to a call."""

    reason: str = Field(min_length=1, max_length=LONGEST_REASON, pattern=r"\S")


class TrailQuery(BaseModel):
    """The filters of the audit trail."""

    since: str | None = Field(None, alias="from")
    until: str | None = Field(None, alias="to")
    actor: str = Field("", max_length=200)
    action: AuditAction | None = None
    call: str = Field("", max_length=100)
    zone: str = "UTC"

    def filter(self) -> TrailFilter:
        """Raises InvalidError."""
        zone = zone_of(self.zone)
        return TrailFilter(
            start_of(self.since, zone),
            end_of(self.until, zone),
            self.actor.strip(),
            self.action or "",
            self.call.strip(),
        )


Wanted = Annotated[TrailQuery, Query()]


class PageQuery(TrailQuery):
    """The same, and the place of a page."""

    before: int | None = Field(None, ge=1, le=LARGEST_INTEGER)
    limit: int = Field(100, ge=1, le=1000)


@routes.get("/api/v1/audit")
def audit_trail(context: Context, query: Annotated[PageQuery, Query()]) -> JSONResponse:
    """Entries of the audit trail, newest first; `next_before` is the `before` of the next page, null on the last."""
    with context.database.read() as conn:
        return JSONResponse(trail_page(conn, query.filter(), query.limit, query.before))


@routes.get("/audit/trail.{ending}", response_class=Response)
def export(context: Context, ending: Ending, wanted: Wanted) -> StreamingResponse:
    """The audit trail, or the filtered entries, oldest first, as JSON or CSV."""
    if filters := wanted.model_dump(mode="json", exclude_defaults=True):
        describe(filters=filters)
    written = trail_csv if ending is Ending.CSV else trail_json
    media_type = "text/csv; charset=utf-8" if ending is Ending.CSV else "application/json"
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="audit_trail.{ending}"',
    }
    return StreamingResponse(written(_entries(context, wanted.filter())), 200, headers, media_type=media_type)


@routes.get("/api/v1/calls/{call_id}/accesses")
def accesses_of_call(context: Context, call: ExistingCall) -> JSONResponse:
    """Who listened to this call, downloaded, exported or opened it, newest first."""
    with context.database.read() as conn:
        return JSONResponse({"accesses": listed_accesses(conn, call.id)})


@routes.post("/api/v1/calls/{call_id}/reason", status_code=204)
def give_reason(call: ExistingCall, given: Reason) -> Response:
    """State why you listen to this call; it is stored with what you play within the next hour."""
    describe(reason=given.reason.strip())
    return Response(status_code=204)


def trail_page(conn: Connection, wanted: TrailFilter, limit: int, before: int | None) -> dict[str, Json]:
    """One page of entries, as the API answers it."""
    rows = trail.page(conn, wanted, limit + 1, before)
    shown: list[Json] = [entry_json(row) for row in rows[:limit]]
    return {"entries": shown, "next_before": rows[limit - 1].number if len(rows) > limit else None}


def listed_accesses(conn: Connection, call_id: CallId | None = None) -> list[dict[str, Json]]:
    """The latest open accesses, of a call or of all; of a call, then those that have ended."""
    listed = [_open_json(row) for row in accesses.still_open(conn, call_id, limit=MOST_ACCESSES)]
    if call_id is not None:
        listed += [entry_json(row) for row in trail.of_call(conn, call_id, ACCESSES, MOST_ACCESSES)]
    return listed


def _open_json(row: OpenAccess) -> dict[str, Json]:
    return {
        "number": None,
        "at": row.began_at.isoformat(timespec="microseconds"),
        "action": row.action,
        "actor": row.actor,
        "via": row.via,
        "address": row.address,
        "call_id": row.call_id,
        "subject": row.subject,
        "reason": row.reason,
        "details": accesses.details_of(row),
    }


def _entries(context: WebContext, wanted: TrailFilter) -> Iterator[AuditEntry]:
    with context.database.read() as conn:
        yield from trail.entries(conn, wanted)
