"""The API's erasing and holding of calls: ask for it, see how far it is and what stays, hold a call and let it go."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from callreel.domain.erasure import LONGEST_REASON
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.retention.erasure_orders import ErasureOrders, ErasureRefusedError
from callreel.retention.legal_hold import HoldRefusedError, LegalHolds, NoCallError, ReasonError
from callreel.store.calls import calls, erasures, holds
from callreel.store.calls.erasures import ErasureRow
from callreel.store.calls.holds import HoldRow
from callreel.web.auth.person import person_of
from callreel.web.errors import conflict, not_found, unusable
from callreel.web.options import WebContext

MOST_SHOWN = 500
_Reason = Annotated[str, Query(max_length=LONGEST_REASON)]


class Hold(BaseModel):
    """Why a call is held."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=LONGEST_REASON)


def router(context: WebContext) -> APIRouter:
    """`DELETE /api/calls/{call_id}`, its `erasure` and its `hold`, and the lists of both."""
    routes = APIRouter(tags=["erasing"])
    usable = context.options.carrier_usable
    orders = ErasureOrders(context.database, context.clock, carrier_usable=usable)
    holding = LegalHolds(context.database, context.publisher, context.clock)

    @routes.delete("/api/calls/{call_id}", status_code=202)
    def erase(
        request: Request, call_id: CallId, reason: _Reason = "", at_carrier: bool = True
    ) -> JSONResponse:
        """Erase a call for good. `at_carrier=false` leaves the carrier's copy of the recording."""
        with refusals():
            row = orders.ask(call_id, person_of(request).name, reason, at_carrier=at_carrier)
        return JSONResponse(erasure_summary(row), 202, headers={"Location": f"/api/calls/{call_id}/erasure"})

    @routes.get("/api/calls/{call_id}/erasure")
    def erasure(call_id: CallId) -> JSONResponse:
        """How far the erasing of a call is, and what stays of it when it is done."""
        with context.database.read() as conn:
            row = erasures.get(conn, call_id)
        if row is None:
            raise not_found("erasure")
        return JSONResponse(erasure_summary(row))

    @routes.get("/api/erasures")
    def all_erasures() -> JSONResponse:
        """The newest erasures, those that are not done first."""
        with context.database.read() as conn:
            rows = erasures.newest(conn, MOST_SHOWN)
        return JSONResponse({"erasures": [erasure_summary(row) for row in rows]})

    @routes.get("/api/calls/{call_id}/hold")
    def holds_of(call_id: CallId) -> JSONResponse:
        """Whether a call is held, and everybody who ever held it and let it go, newest first."""
        with context.database.read() as conn:
            if calls.get(conn, call_id) is None:
                raise not_found("call")
            rows = holds.of_call(conn, call_id)
        held = any(row.released_at is None for row in rows)
        return JSONResponse({"held": held, "holds": [hold_summary(row) for row in rows]})

    @routes.put("/api/calls/{call_id}/hold")
    def hold(request: Request, call_id: CallId, asked: Hold) -> JSONResponse:
        """Keep a call from being erased, by anybody and by every policy."""
        with refusals():
            row = holding.hold(call_id, asked.reason, person_of(request).name)
        return JSONResponse(hold_summary(row))

    @routes.delete("/api/calls/{call_id}/hold", status_code=204)
    def release(request: Request, call_id: CallId, reason: _Reason) -> Response:
        """Let a held call go. Nothing is erased by that."""
        with refusals():
            holding.release(call_id, reason, person_of(request).name)
        return Response(status_code=204)

    @routes.get("/api/holds")
    def all_holds() -> JSONResponse:
        """Every call that is held now, the longest held first."""
        with context.database.read() as conn:
            rows = holds.all_current(conn)
        return JSONResponse({"holds": [hold_summary(row) for row in rows]})

    return routes


@contextmanager
def refusals() -> Iterator[None]:
    """What is refused here, as answers: 404, 409 or 422, each with its line."""
    try:
        yield
    except NoCallError:
        raise not_found("call") from None
    except ReasonError as error:
        raise unusable(error) from None
    except (ErasureRefusedError, HoldRefusedError) as error:
        raise conflict(error) from None


def erasure_summary(row: ErasureRow) -> dict[str, Json]:
    """An erasure as it is told."""
    state = "done" if row.erased_at else "waiting" if row.trouble else "under_way"
    return {
        "call_id": row.call_id,
        "state": state,
        "step": row.step.value,
        "by": row.by,
        "reason": row.reason,
        "at_carrier": row.at_carrier,
        "asked_at": row.began_at.isoformat(),
        "erased_at": row.erased_at.isoformat() if row.erased_at else None,
        "trouble": row.trouble,
        "attempts": row.attempts,
        "retry_at": row.retry_at.isoformat() if row.retry_at else None,
        "files": [{"path": path, "sha256": sha256} for path, sha256 in sorted(row.files.items())],
        "recordings": [{"sid": sid, **_outcome(became)} for sid, became in sorted(row.recordings.items())],
        "rows": row.counts,
        "holds": row.holds,
    }


def _outcome(became: Json) -> dict[str, Json]:
    return dict(became) if isinstance(became, dict) else {}


def hold_summary(row: HoldRow) -> dict[str, Json]:
    """A hold as it is told."""
    return {
        "call_id": row.call_id,
        "reason": row.reason,
        "by": row.by,
        "at": row.at.isoformat(),
        "release_reason": row.release_reason,
        "released_by": row.released_by,
        "released_at": row.released_at.isoformat() if row.released_at else None,
    }
