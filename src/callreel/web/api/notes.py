"""The API of marks and notes on a call."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from callreel.domain.access import Right
from callreel.domain.ids import CallId
from callreel.domain.note import LONGEST_NOTE, NoteKind
from callreel.review.summary import note_summary
from callreel.web.dependencies import CallNotes, CurrentPerson, ExistingCall
from callreel.web.errors import existing, not_found
from callreel.web.values import Body, RowId

LONGEST_CALL_MS = 7 * 24 * 3_600_000

routes = APIRouter(tags=["notes"])


class NewNote(Body):
    """A mark or a note at a moment of the call."""

    kind: NoteKind
    at_ms: int = Field(ge=0, le=LONGEST_CALL_MS)
    text: str = Field(default="", max_length=LONGEST_NOTE)


class NoteChange(Body):
    """The fields of a note to change."""

    at_ms: int | None = Field(default=None, ge=0, le=LONGEST_CALL_MS)
    text: str | None = Field(default=None, max_length=LONGEST_NOTE)


@routes.post("/api/v1/calls/{call_id}/notes", status_code=201)
def add(notes: CallNotes, person: CurrentPerson, call: ExistingCall, note: NewNote) -> JSONResponse:
    """Add a mark or a note at a moment of a call."""
    return JSONResponse(note_summary(notes.add(call.id, note.kind, note.at_ms, note.text, person.name)), 201)


@routes.patch("/api/v1/calls/{call_id}/notes/{note_id}")
def change(
    notes: CallNotes, person: CurrentPerson, call_id: CallId, note_id: RowId, note: NoteChange
) -> JSONResponse:
    """Change the text or the moment of a note."""
    all_notes = person.may(Right.EDIT_ALL_NOTES)
    row = notes.change(call_id, note_id, note.at_ms, note.text, by=person.name, all_notes=all_notes)
    return JSONResponse(note_summary(existing("note", row)))


@routes.delete("/api/v1/calls/{call_id}/notes/{note_id}", status_code=204)
def remove(notes: CallNotes, person: CurrentPerson, call_id: CallId, note_id: RowId) -> Response:
    """Remove a note."""
    all_notes = person.may(Right.EDIT_ALL_NOTES)
    if not notes.remove(call_id, note_id, by=person.name, all_notes=all_notes):
        raise not_found("note")
    return Response(status_code=204)
