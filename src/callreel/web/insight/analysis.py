"""The API of a call's analysis by a language model."""

from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from callreel.domain.call import Role
from callreel.domain.ids import CallId
from callreel.insight.analysis import LONGEST_DUE, LONGEST_TEXT, ItemState, Sentiment
from callreel.review.analyses import analysis_history
from callreel.web.dependencies import CallAnalyses, Context, CurrentPerson, ExistingCall
from callreel.web.errors import RequestConflictError, not_found
from callreel.web.values import Body, RowId

routes = APIRouter(tags=["analysis"])


class Decision(Body):
    """What a person says to an item."""

    state: Literal["approved", "rejected"]


class ItemText(Body):
    """The text of an item; owner (`role`) and due date are those of an action item. Without a `sentiment` it stays."""

    text: str = Field(min_length=1, max_length=LONGEST_TEXT)
    role: Role | None = None
    due: str = Field(default="", max_length=LONGEST_DUE)
    sentiment: Sentiment | None = None


@routes.get("/api/v1/calls/{call_id}/analysis")
def history(context: Context, call: ExistingCall) -> JSONResponse:
    """Every analysis of a call, newest first, with its items: also those that a later one replaced, and rejected ones."""
    with context.database.read() as conn:
        return JSONResponse({"runs": analysis_history(conn, call.id)})


@routes.post("/api/v1/calls/{call_id}/analysis", status_code=202)
def order(context: Context, analyses: CallAnalyses, call_id: CallId) -> JSONResponse:
    """Order another analysis of a call. What people wrote or decided stays."""
    if not context.options.language_model:
        raise RequestConflictError("no language model is set")
    analyses.order(call_id)
    return JSONResponse({"state": "ordered"}, 202)


@routes.put("/api/v1/calls/{call_id}/analysis/items/{item_id}/state", status_code=204)
def decide(
    analyses: CallAnalyses, person: CurrentPerson, call: ExistingCall, item_id: RowId, decision: Decision
) -> Response:
    """Approve or reject an item. The call gets an approved label."""
    if not analyses.decide(call.id, item_id, ItemState(decision.state), person.name, person.rights):
        raise not_found("item")
    return Response(status_code=204)


@routes.put("/api/v1/calls/{call_id}/analysis/items/{item_id}/text", status_code=204)
def edit(
    analyses: CallAnalyses, person: CurrentPerson, call: ExistingCall, item_id: RowId, wanted: ItemText
) -> Response:
    """Replace the text of an item, which approves it. Later analyses do not change it."""
    written = (wanted.text, wanted.role, wanted.due, wanted.sentiment)
    if not analyses.edit(call.id, item_id, *written, person.name):
        raise not_found("item")
    return Response(status_code=204)
