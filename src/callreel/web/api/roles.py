"""Swapping agent and technician of a call, by the API and by the call page's form."""

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import JSONResponse, RedirectResponse

from callreel.review.summary import role_swaps
from callreel.web.dependencies import CallRoles, Context, CurrentPerson, ExistingCall
from callreel.web.values import Body

routes = APIRouter(tags=["calls"])


class RoleSwap(Body):
    """Whether the displayed roles are the recorded ones exchanged."""

    swapped: bool


@routes.post("/api/v1/calls/{call_id}/swap-roles")
def swap_roles(
    context: Context, roles: CallRoles, person: CurrentPerson, call: ExistingCall, wanted: RoleSwap
) -> JSONResponse:
    """Swap agent and technician of an ended call, or restore the recorded roles."""
    roles.set(call.id, person.name, swapped=wanted.swapped)
    with context.database.read() as conn:
        return JSONResponse({"roles_swapped": wanted.swapped, "role_swaps": role_swaps(conn, call.id)})


@routes.post("/calls/{call_id}/swap-roles", include_in_schema=False)
def swap_roles_by_form(
    roles: CallRoles, person: CurrentPerson, call: ExistingCall, swapped: Annotated[bool, Form()]
) -> RedirectResponse:
    roles.set(call.id, person.name, swapped=swapped)
    return RedirectResponse(f"/calls/{call.id}", 303)
