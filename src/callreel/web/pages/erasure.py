"""The pages of erasure and legal holds: preview, confirmation, progress, tombstone; and the forms of a hold.

They work without script. `web/api/erasure.py` offers the same to programs.
"""

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from callreel.domain.access import Right
from callreel.domain.erasure import LONGEST_REASON
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.retention.erasure_orders import ErasureOrders, ErasurePreview, ErasureRefusedError
from callreel.retention.legal_hold import ReasonError
from callreel.review.summary import call_head
from callreel.store.calls import calls, erasures
from callreel.store.people import technicians
from callreel.web.api.erasure import erasure_summary, listed_erasures, listed_holds
from callreel.web.dependencies import Context, CurrentPerson, Erasures, Holds, Page
from callreel.web.errors import not_found, status_and_message
from callreel.web.options import WebContext
from callreel.web.pages.wording import LAYER_NAMES, ROW_NAMES
from callreel.web.values import Storable

# Longer than allowed, so that the page and not a bare 422 says what is wrong.
Reason = Annotated[str, Form(max_length=4 * LONGEST_REASON), Storable]

routes = APIRouter(include_in_schema=False)


@routes.get("/calls/{call_id}/erase")
def erase_page(context: Context, page: Page, orders: Erasures, call_id: CallId) -> HTMLResponse:
    return _page(context, page, orders, call_id)


@routes.post("/calls/{call_id}/erase")
def erase(
    context: Context,
    page: Page,
    orders: Erasures,
    person: CurrentPerson,
    call_id: CallId,
    reason: Reason = "",
    here_only: Annotated[bool, Form()] = False,
) -> Response:
    try:
        orders.request(call_id, person.name, reason, at_carrier=not here_only)
    except (ErasureRefusedError, ReasonError) as error:
        return _page(context, page, orders, call_id, error)
    return RedirectResponse(f"/calls/{call_id}/erase", 303)


@routes.post("/calls/{call_id}/hold")
def hold(legal_holds: Holds, person: CurrentPerson, call_id: CallId, reason: Reason = "") -> RedirectResponse:
    legal_holds.hold(call_id, reason, person.name)
    return RedirectResponse(f"/calls/{call_id}#keeping", 303)


@routes.post("/calls/{call_id}/release")
def release(
    legal_holds: Holds, person: CurrentPerson, call_id: CallId, reason: Reason = ""
) -> RedirectResponse:
    legal_holds.release(call_id, reason, person.name)
    return RedirectResponse(f"/calls/{call_id}#keeping", 303)


@routes.get("/erasures")
def all_erasures(context: Context, page: Page, person: CurrentPerson) -> HTMLResponse:
    return page(
        "erasures.html",
        here="operations",
        erasures=listed_erasures(context) if person.may(Right.ERASE_CALLS) else [],
        holds=listed_holds(context),
    )


def _page(
    context: WebContext,
    page: Page,
    orders: ErasureOrders,
    call_id: CallId,
    refused: ErasureRefusedError | ReasonError | None = None,
) -> HTMLResponse:
    with context.database.read() as conn:
        erasure = erasures.get(conn, call_id)
        call = calls.get(conn, call_id)
        names = technicians.names_of(conn, [call.remote_number]) if call else {}
    preview = orders.preview(call_id) if erasure is None else None
    if erasure is None and preview is None:
        raise not_found("call")
    status, problem = status_and_message(refused) if refused else (200, None)
    return page(
        "erase.html",
        status,
        call_id=call_id,
        call=call_head(call, names) if call else None,
        erasure=erasure_summary(context, erasure) if erasure else None,
        rows=named_rows(erasure.counts if erasure else preview.counts if preview else {}),
        preview=preview,
        files=named_files(preview) if preview else [],
        problem=problem,
        longest=LONGEST_REASON,
    )


def named_rows(counts: dict[str, Json]) -> list[tuple[str, int]]:
    """Numbers of rows by their name for people, in order of importance; tables without a name are one last line."""
    numbers = {table: number for table, number in counts.items() if isinstance(number, int)}
    named = [(name, numbers[table]) for table, name in ROW_NAMES.items() if table in numbers]
    others = sum(number for table, number in numbers.items() if table not in ROW_NAMES)
    return [*named, ("Other rows: legs, streams, file and recording records", others)] if others else named


def named_files(preview: ErasurePreview) -> list[tuple[str, int, int]]:
    """For each layer: its name, the number of files, and their bytes."""
    found = []
    for layer, name in LAYER_NAMES.items():
        sizes = [file.size_bytes for file in preview.files if file.layer is layer]
        if sizes:
            found.append((name, len(sizes), sum(sizes)))
    return found
