"""The API of following a call up: whether it is reviewed, and who is assigned to it."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from callreel.domain.access import LONGEST_NAME
from callreel.review.summary import triage_summary
from callreel.store.calls import calls
from callreel.store.calls.calls import CallRow
from callreel.web.dependencies import CallTriage, Context, CurrentPerson, ExistingCall
from callreel.web.options import WebContext
from callreel.web.values import Body

routes = APIRouter(tags=["calls"])


class Assignment(Body):
    """The name of a person."""

    person: str = Field(min_length=1, max_length=LONGEST_NAME)


@routes.put("/api/v1/calls/{call_id}/review")
def mark_reviewed(
    context: Context, triage: CallTriage, person: CurrentPerson, call: ExistingCall
) -> JSONResponse:
    """Mark an ended call as reviewed by you. A call that is reviewed already stays as it is."""
    triage.mark_reviewed(call, person.name)
    return _answer(context, call)


@routes.delete("/api/v1/calls/{call_id}/review", status_code=204)
def unmark_reviewed(triage: CallTriage, call: ExistingCall) -> Response:
    """Mark a call as not reviewed."""
    triage.unmark_reviewed(call)
    return Response(status_code=204)


@routes.put("/api/v1/calls/{call_id}/assignment")
def assign(
    context: Context, triage: CallTriage, person: CurrentPerson, call: ExistingCall, wanted: Assignment
) -> JSONResponse:
    """Assign a call to a person who can see it."""
    triage.assign(call, wanted.person, person.name)
    return _answer(context, call)


@routes.delete("/api/v1/calls/{call_id}/assignment", status_code=204)
def unassign(triage: CallTriage, person: CurrentPerson, call: ExistingCall) -> Response:
    """Assign a call to no one."""
    triage.assign(call, None, person.name)
    return Response(status_code=204)


def _answer(context: WebContext, call: CallRow) -> JSONResponse:
    with context.database.read() as conn:
        return JSONResponse(triage_summary(calls.get(conn, call.id) or call))
