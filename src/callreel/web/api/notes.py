"""The API's marks and notes on a call: one's own, or everybody's for who may change those."""

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from callreel.domain.access import Right
from callreel.domain.ids import CallId
from callreel.domain.note import LONGEST_NOTE, NoteKind
from callreel.review.notes import HeldNoteError, NoteError, Notes, OthersNoteError
from callreel.review.summary import note_summary
from callreel.store.calls import calls
from callreel.web.auth.person import person_of
from callreel.web.errors import conflict, not_found, unusable
from callreel.web.options import WebContext

LONGEST_CALL_MS = 7 * 24 * 3_600_000


class NewNote(BaseModel):
    """A mark or a note at a moment of the call."""

    model_config = ConfigDict(extra="forbid")

    kind: NoteKind
    at_ms: int = Field(ge=0, le=LONGEST_CALL_MS)
    text: str = Field(default="", max_length=LONGEST_NOTE)


class NoteChange(BaseModel):
    """What of a note becomes another."""

    model_config = ConfigDict(extra="forbid")

    at_ms: int | None = Field(default=None, ge=0, le=LONGEST_CALL_MS)
    text: str | None = Field(default=None, max_length=LONGEST_NOTE)


def router(context: WebContext) -> APIRouter:
    """`/api/calls/{call_id}/notes`."""
    routes = APIRouter(tags=["notes"])
    notes = Notes(context.database, context.publisher, context.clock)

    @routes.post("/api/calls/{call_id}/notes", status_code=201)
    def add(request: Request, call_id: CallId, note: NewNote) -> JSONResponse:
        """Mark or note a moment of a call."""
        with context.database.read() as conn:
            known = calls.get(conn, call_id) is not None
        if not known:
            raise not_found("call")
        try:
            row = notes.add(call_id, note.kind, note.at_ms, note.text, person_of(request).name)
        except NoteError as error:
            raise unusable(error) from None
        return JSONResponse(note_summary(row), 201)

    @routes.patch("/api/calls/{call_id}/notes/{note_id}")
    def change(request: Request, call_id: CallId, note_id: int, note: NoteChange) -> JSONResponse:
        """Change the text or the moment of a note."""
        person = person_of(request)
        everybodys = person.may(Right.EDIT_ALL_NOTES)
        try:
            row = notes.change(call_id, note_id, note.at_ms, note.text, by=person.name, all_notes=everybodys)
        except NoteError as error:
            raise unusable(error) from None
        except OthersNoteError as error:
            raise _others(error) from None
        except HeldNoteError as error:
            raise conflict(error) from None
        if row is None:
            raise not_found("note")
        return JSONResponse(note_summary(row))

    @routes.delete("/api/calls/{call_id}/notes/{note_id}", status_code=204)
    def remove(request: Request, call_id: CallId, note_id: int) -> Response:
        """Remove a note."""
        person = person_of(request)
        everybodys = person.may(Right.EDIT_ALL_NOTES)
        try:
            if not notes.remove(call_id, note_id, by=person.name, all_notes=everybodys):
                raise not_found("note")
        except OthersNoteError as error:
            raise _others(error) from None
        except HeldNoteError as error:
            raise conflict(error) from None
        return Response(status_code=204)

    return routes


def _others(error: OthersNoteError) -> HTTPException:
    return HTTPException(403, f"{str(error).capitalize()}.")
