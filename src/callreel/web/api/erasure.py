"""The API of erasure and legal holds: request an erasure, follow it, hold and release calls."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from callreel.domain.erasure import LONGEST_REASON
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.domain.json_time import json_time
from callreel.domain.work import Workflow, WorkItem
from callreel.store.calls import erasures, holds
from callreel.store.calls.erasures import ErasureRow
from callreel.store.calls.holds import HoldRow
from callreel.web.dependencies import Context, CurrentPerson, Erasures, ExistingCall, Holds
from callreel.web.errors import existing
from callreel.web.options import WebContext
from callreel.web.values import Body

MOST_SHOWN = 500
Reason = Annotated[str, Query(max_length=LONGEST_REASON)]

routes = APIRouter(tags=["erasure"])


class Hold(Body):
    """Why a call is held."""

    reason: str = Field(min_length=1, max_length=LONGEST_REASON)


@routes.delete("/api/v1/calls/{call_id}", status_code=202)
def erase(
    context: Context,
    orders: Erasures,
    person: CurrentPerson,
    call_id: CallId,
    reason: Reason = "",
    at_carrier: bool = True,
) -> JSONResponse:
    """Erase a call for good. `at_carrier=false` keeps the carrier's copy of the recording."""
    row = orders.request(call_id, person.name, reason, at_carrier=at_carrier)
    return JSONResponse(
        erasure_summary(context, row), 202, headers={"Location": f"/api/v1/calls/{call_id}/erasure"}
    )


@routes.get("/api/v1/calls/{call_id}/erasure")
def erasure(context: Context, call_id: CallId) -> JSONResponse:
    """The progress of an erasure, and its tombstone when it is done."""
    with context.database.read() as conn:
        row = existing("erasure", erasures.get(conn, call_id))
    return JSONResponse(erasure_summary(context, row))


@routes.get("/api/v1/erasures")
def all_erasures(context: Context) -> JSONResponse:
    """The newest erasures, unfinished ones first."""
    return JSONResponse({"erasures": listed_erasures(context)})


@routes.get("/api/v1/calls/{call_id}/hold")
def holds_of_call(context: Context, call: ExistingCall) -> JSONResponse:
    """Whether a call is held, and all holds it ever had, newest first."""
    with context.database.read() as conn:
        rows = holds.of_call(conn, call.id)
    held = any(row.released_at is None for row in rows)
    return JSONResponse({"held": held, "holds": [hold_summary(row) for row in rows]})


@routes.put("/api/v1/calls/{call_id}/hold")
def hold(legal_holds: Holds, person: CurrentPerson, call_id: CallId, wanted: Hold) -> JSONResponse:
    """Hold a call: no person and no policy can erase it."""
    return JSONResponse(hold_summary(legal_holds.hold(call_id, wanted.reason, person.name)))


@routes.delete("/api/v1/calls/{call_id}/hold", status_code=204)
def release(legal_holds: Holds, person: CurrentPerson, call_id: CallId, reason: Reason) -> Response:
    """Release a held call. This erases nothing."""
    legal_holds.release(call_id, reason, person.name)
    return Response(status_code=204)


@routes.get("/api/v1/holds")
def all_holds(context: Context) -> JSONResponse:
    """All calls that are held now, the oldest hold first."""
    return JSONResponse({"holds": listed_holds(context)})


def listed_erasures(context: WebContext) -> list[dict[str, Json]]:
    with context.database.read() as conn:
        rows = erasures.newest(conn, MOST_SHOWN)
    return _summaries(context, rows)


def listed_holds(context: WebContext) -> list[dict[str, Json]]:
    with context.database.read() as conn:
        return [hold_summary(row) for row in holds.all_current(conn)]


def erasure_summary(context: WebContext, row: ErasureRow) -> dict[str, Json]:
    """An erasure in JSON."""
    return _summaries(context, [row])[0]


def _summaries(context: WebContext, rows: Sequence[ErasureRow]) -> list[dict[str, Json]]:
    unfinished = [row.call_id for row in rows if row.erased_at is None]
    items = context.work.unfinished(*unfinished) if unfinished else []
    of_call = {item.subject: item for item in items if item.workflow is Workflow.ERASE}
    return [_summary(row, of_call.get(row.call_id) if row.erased_at is None else None) for row in rows]


def _summary(row: ErasureRow, item: WorkItem | None) -> dict[str, Json]:
    """`step` is the one that failed last."""
    last_error = item.failure if item is not None else None
    return {
        "call_id": row.call_id,
        "state": "done" if row.erased_at else "waiting" if last_error else "in_progress",
        "step": item.step if item is not None else None,
        "by": row.by,
        "reason": row.reason,
        "at_carrier": row.at_carrier,
        "requested_at": json_time(row.began_at),
        "erased_at": json_time(row.erased_at),
        "last_error": last_error,
        "attempts": item.attempt if item is not None else 0,
        "retry_at": json_time(item.retry_at) if item else None,
        "files": [{"path": path, "sha256": sha256} for path, sha256 in sorted(row.files.items())],
        "recordings": [
            {"sid": sid, **(outcome if isinstance(outcome, dict) else {})}
            for sid, outcome in sorted(row.recordings.items())
        ],
        "rows": row.counts,
        "holds": row.holds,
    }


def hold_summary(row: HoldRow) -> dict[str, Json]:
    """A hold in JSON."""
    return {
        "call_id": row.call_id,
        "reason": row.reason,
        "by": row.by,
        "at": json_time(row.at),
        "release_reason": row.release_reason,
        "released_by": row.released_by,
        "released_at": json_time(row.released_at),
    }
