"""The API's corrections of a transcript, and what the live and the final transcript have different."""

from collections.abc import Iterable

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from callreel.asr.languages import LanguageError, code_of
from callreel.domain.call import Role
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.domain.transcript import Word
from callreel.review.corrections import ConflictError, Corrections
from callreel.review.summary import live_turns, revision_head
from callreel.review.transcript_difference import Difference, differences
from callreel.review.turn_edits import Change, CorrectionError
from callreel.store.calls import calls
from callreel.store.transcripts import revisions
from callreel.store.transcripts.revisions import RevisionRow
from callreel.web.auth.person import person_of
from callreel.web.errors import conflict, not_found, unusable
from callreel.web.options import WebContext

MOST_CHANGES = 1000
LONGEST_TURN = 20_000


class TurnChange(BaseModel):
    """A new text for a turn or for one of its words, or another party for a turn."""

    model_config = ConfigDict(extra="forbid")

    turn: int
    word: int | None = None
    text: str | None = Field(default=None, max_length=LONGEST_TURN)
    role: Role | None = None


class Revision(BaseModel):
    """Changes to the revision that was looked at."""

    model_config = ConfigDict(extra="forbid")

    base: int = Field(ge=0)
    changes: list[TurnChange] = Field(min_length=1, max_length=MOST_CHANGES)


class Language(BaseModel):
    """A code as `de`, or a name as `German`; empty for what the engine expects."""

    model_config = ConfigDict(extra="forbid")

    language: str = Field(max_length=40)


def router(context: WebContext) -> APIRouter:
    """`revisions`, `language` and `difference` of `/api/calls/{call_id}`."""
    routes = APIRouter(tags=["transcripts"])
    correcting = Corrections(context.database, context.publisher, context.clock)

    @routes.post("/api/calls/{call_id}/revisions", status_code=201)
    def correct(request: Request, call_id: CallId, revision: Revision) -> JSONResponse:
        """Correct words, turns or speakers; the machine's text stays."""
        _require_call(context, call_id)
        asked = [Change(change.turn, change.word, change.text, change.role) for change in revision.changes]
        try:
            row = correcting.correct(call_id, revision.base, asked, person_of(request).name)
        except ConflictError as error:
            raise conflict(error) from None
        except CorrectionError as error:
            raise unusable(error) from None
        return JSONResponse(_revision(row), 201)

    @routes.get("/api/calls/{call_id}/revisions")
    def history(call_id: CallId) -> JSONResponse:
        """Who corrected what and when, newest first."""
        _require_call(context, call_id)
        with context.database.read() as conn:
            rows = revisions.of_call(conn, call_id)
        return JSONResponse({"revisions": [_revision(row) for row in rows]})

    @routes.put("/api/calls/{call_id}/language")
    def set_language(call_id: CallId, wanted: Language) -> JSONResponse:
        """What the pass after the call hears it in, and every later one; its live text stays as it is."""
        _require_call(context, call_id)
        try:
            code = code_of(wanted.language) if wanted.language else ""
            context.options.hears(code)
        except LanguageError as error:
            raise unusable(error) from None
        with context.database.write() as conn:
            calls.set_language(conn, call_id, code)
        return JSONResponse({"language": code or None})

    @routes.get("/api/calls/{call_id}/difference")
    def difference(call_id: CallId) -> JSONResponse:
        """The live and the final transcript, word by word."""
        with context.database.read() as conn:
            row = calls.get(conn, call_id)
            if row is None:
                raise not_found("call")
            shown = revisions.shown(conn, call_id)
            live = live_turns(conn, row)
        return JSONResponse({"difference": _differences(differences(live, shown.turns if shown else ()))})

    return routes


def _require_call(context: WebContext, call_id: CallId) -> None:
    with context.database.read() as conn:
        if calls.get(conn, call_id) is None:
            raise not_found("call")


def _revision(row: RevisionRow) -> dict[str, Json]:
    return {**revision_head(row), "changes": row.changes}


def _differences(found: Iterable[Difference]) -> list[Json]:
    return [
        {"op": run.op, "role": run.role.value, "live": _words(run.live), "final": _words(run.final)}
        for run in found
    ]


def _words(words: Iterable[Word]) -> list[Json]:
    return [{"text": word.text, "start_ms": word.start_ms, "end_ms": word.end_ms} for word in words]
