"""The page of the audit trail with its filters, and the form in which a person gives a reason for playback."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import ValidationError

from callreel.domain.audit import AuditAction
from callreel.domain.erasure import LONGEST_REASON
from callreel.store.audit import trail
from callreel.store.audit.pending import describe
from callreel.web.api.audit import PageQuery, listed_accesses, trail_page
from callreel.web.dependencies import Context, ExistingCall, Page
from callreel.web.errors import InvalidError
from callreel.web.values import Storable

routes = APIRouter(include_in_schema=False)


@routes.get("/audit")
def audit_page(context: Context, page: Page, request: Request) -> HTMLResponse:
    # An empty field of the form is not a filter.
    given = {name: value for name, value in request.query_params.items() if value}
    try:
        query = PageQuery.model_validate(given)
    except ValidationError:
        raise InvalidError("a filter has a wrong value") from None
    filters = {name: value for name, value in given.items() if name not in ("before", "limit")}
    with context.database.read() as conn:
        listed = trail_page(conn, query.filter(), query.limit, query.before)
        open_accesses = listed_accesses(conn) if not given else []
        head = trail.head(conn)
    return page(
        "audit.html",
        here="audit",
        open_accesses=open_accesses,
        entries=listed["entries"],
        older=listed["next_before"],
        filters=filters,
        query=urlencode(filters),
        actions=list(AuditAction),
        head=head,
    )


@routes.post("/calls/{call_id}/reason")
def give_reason(
    call: ExistingCall, reason: Annotated[str, Form(max_length=4 * LONGEST_REASON), Storable] = ""
) -> RedirectResponse:
    reason = reason.strip()
    if not 1 <= len(reason) <= LONGEST_REASON:
        raise InvalidError(f"a reason has 1 to {LONGEST_REASON} characters")
    describe(reason=reason)
    return RedirectResponse(f"/calls/{call.id}", 303)
