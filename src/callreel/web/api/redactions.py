"""Redactions that people add to a call or remove from it, by API and by the form of its page."""

from typing import Annotated

from fastapi import APIRouter, Form, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import Field

from callreel.domain.call import Role
from callreel.domain.redaction import Entity, Stretch
from callreel.store.audit.pending import describe
from callreel.web.api.notes import LONGEST_CALL_MS
from callreel.web.dependencies import CallRedactions, CurrentPerson, ExistingCall
from callreel.web.errors import not_found
from callreel.web.values import Body, RowId

routes = APIRouter(tags=["redaction"])


class NewRedaction(Body):
    """A stretch of one party's speech, in milliseconds of the call."""

    role: Role
    start_ms: int = Field(ge=0, le=LONGEST_CALL_MS)
    end_ms: int = Field(ge=0, le=LONGEST_CALL_MS)
    entity: Entity = Entity.OTHER


@routes.post("/api/v1/calls/{call_id}/redactions", status_code=201)
def redact(
    redacting: CallRedactions, person: CurrentPerson, call: ExistingCall, wanted: NewRedaction
) -> JSONResponse:
    """Mask a stretch of one party's words, and silence it in the audio of both."""
    stretch = Stretch(call.displayed(wanted.role), wanted.entity, wanted.start_ms, wanted.end_ms)
    describe(entity=wanted.entity.value, span_ms=[wanted.start_ms, wanted.end_ms])
    row = redacting.add(call.id, stretch, person.name)
    return JSONResponse({"id": row.id}, 201)


@routes.delete("/api/v1/calls/{call_id}/redactions/{redaction_id}", status_code=204)
def show_again(
    redacting: CallRedactions, person: CurrentPerson, call: ExistingCall, redaction_id: RowId
) -> Response:
    """Remove a redaction whose original still exists."""
    if not redacting.remove(call.id, redaction_id, person.name):
        raise not_found("redaction")
    return Response(status_code=204)


@routes.post("/calls/{call_id}/redactions", include_in_schema=False)
def redact_by_form(
    redacting: CallRedactions,
    person: CurrentPerson,
    call: ExistingCall,
    role: Annotated[Role, Form()],
    start_s: Annotated[float, Form(ge=0, le=LONGEST_CALL_MS / 1000)],
    end_s: Annotated[float, Form(ge=0, le=LONGEST_CALL_MS / 1000)],
    entity: Annotated[Entity, Form()] = Entity.OTHER,
) -> RedirectResponse:
    wanted = NewRedaction(
        role=role, start_ms=round(start_s * 1000), end_ms=round(end_s * 1000), entity=entity
    )
    redact(redacting, person, call, wanted)
    return RedirectResponse(f"/calls/{call.id}#redaction", 303)


@routes.post("/calls/{call_id}/redactions/{redaction_id}/remove", include_in_schema=False)
def show_again_by_form(
    redacting: CallRedactions, person: CurrentPerson, call: ExistingCall, redaction_id: RowId
) -> RedirectResponse:
    show_again(redacting, person, call, redaction_id)
    return RedirectResponse(f"/calls/{call.id}#redaction", 303)
