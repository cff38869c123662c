"""The pages of erasing and holding: what would go, the confirmation, how far it is, the proof; and the forms of a hold.

All of it works without script: a form posts, the answer leads to a page. `web/api_erasing` is the same for programs.
"""

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from callreel.domain.access import Right
from callreel.domain.erasure import LONGEST_REASON
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.retention.erasure_orders import ErasureOrders, WouldGo
from callreel.retention.legal_hold import LegalHolds
from callreel.review.summary import call_head
from callreel.store.calls import calls, erasures, holds
from callreel.store.people import technicians
from callreel.web.api.erasure import MOST_SHOWN, erasure_summary, hold_summary, refusals
from callreel.web.auth.person import person_of
from callreel.web.errors import not_found
from callreel.web.options import WebContext
from callreel.web.pages.render import Renderer
from callreel.web.pages.wording import LAYER_NAMES, ROW_NAMES

_Reason = Annotated[str, Form(max_length=4 * LONGEST_REASON)]


def router(context: WebContext, renderer: Renderer) -> APIRouter:
    """`/calls/{call_id}/erase`, the forms of a hold, and `/erasures`."""
    routes = APIRouter(include_in_schema=False)
    usable = context.options.carrier_usable
    orders = ErasureOrders(context.database, context.clock, carrier_usable=usable)
    holding = LegalHolds(context.database, context.publisher, context.clock)

    @routes.get("/calls/{call_id}/erase")
    def page(request: Request, call_id: CallId) -> Response:
        return _page(request, call_id, None, 200)

    def _page(request: Request, call_id: CallId, problem: str | None, status: int) -> HTMLResponse:
        with context.database.read() as conn:
            begun = erasures.get(conn, call_id)
            row = calls.get(conn, call_id)
            names = technicians.names_of(conn, [row.remote_number]) if row else {}
        would_go = orders.would_go(call_id) if begun is None else None
        if begun is None and would_go is None:
            raise not_found("call")
        return renderer.page(
            request,
            "erase.html",
            status,
            call_id=call_id,
            call=call_head(row, names) if row else None,
            erasure=erasure_summary(begun) if begun else None,
            rows=rows_in_words(begun.counts if begun else would_go.counts if would_go else {}),
            would_go=would_go,
            files=files_in_words(would_go) if would_go else [],
            problem=problem,
            longest=LONGEST_REASON,
        )

    @routes.post("/calls/{call_id}/erase")
    def erase(
        request: Request,
        call_id: CallId,
        reason: _Reason = "",
        here_only: Annotated[bool, Form()] = False,
    ) -> Response:
        try:
            with refusals():
                orders.ask(call_id, person_of(request).name, reason, at_carrier=not here_only)
        except HTTPException as refused:
            if refused.status_code == 404:
                raise
            return _page(request, call_id, refused.detail, refused.status_code)
        return RedirectResponse(f"/calls/{call_id}/erase", 303)

    @routes.post("/calls/{call_id}/hold")
    def hold(request: Request, call_id: CallId, reason: _Reason = "") -> RedirectResponse:
        with refusals():
            holding.hold(call_id, reason, person_of(request).name)
        return RedirectResponse(f"/calls/{call_id}#keeping", 303)

    @routes.post("/calls/{call_id}/release")
    def release(request: Request, call_id: CallId, reason: _Reason = "") -> RedirectResponse:
        with refusals():
            holding.release(call_id, reason, person_of(request).name)
        return RedirectResponse(f"/calls/{call_id}#keeping", 303)

    @routes.get("/erasures")
    def every(request: Request) -> HTMLResponse:
        may_erase = person_of(request).may(Right.ERASE_CALLS)
        with context.database.read() as conn:
            rows = erasures.newest(conn, MOST_SHOWN) if may_erase else []
            held = holds.all_current(conn)
        return renderer.page(
            request,
            "erasures.html",
            here="operations",
            erasures=[erasure_summary(row) for row in rows],
            holds=[hold_summary(row) for row in held],
        )

    return routes


def rows_in_words(counts: dict[str, Json]) -> list[tuple[str, int]]:
    """Rows by what people call them, in the order in which they matter; what has no name is one line at the end."""
    numbers = {table: number for table, number in counts.items() if isinstance(number, int)}
    named = [(name, numbers[table]) for table, name in ROW_NAMES.items() if table in numbers]
    others = sum(number for table, number in numbers.items() if table not in ROW_NAMES)
    return (
        [*named, ("Other rows: legs, streams, what is known of files and recordings", others)]
        if others
        else named
    )


def files_in_words(would_go: WouldGo) -> list[tuple[str, int, int]]:
    """Of each layer: what it is called, how many files, and their bytes."""
    found = []
    for layer, name in LAYER_NAMES.items():
        sizes = [file.size_bytes for file in would_go.files if file.layer is layer]
        if sizes:
            found.append((name, len(sizes), sum(sizes)))
    return found
