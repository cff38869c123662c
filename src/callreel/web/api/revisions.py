"""The API of transcript corrections, of a call's language, and of the difference between live and final transcript."""

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import Field

from callreel.asr.languages import code_of
from callreel.domain.call import Role
from callreel.domain.events import Json, swap_roles
from callreel.domain.redaction import Entity
from callreel.domain.transcript import Word
from callreel.redaction.masking import masked_turns
from callreel.review.redacted_view import stretches_to_mask
from callreel.review.summary import live_turns, revision_head
from callreel.review.transcript_difference import differences
from callreel.review.turn_edits import Change
from callreel.store.audit.pending import describe
from callreel.store.calls import calls
from callreel.store.calls.calls import CallRow
from callreel.store.transcripts import redactions, revisions
from callreel.store.transcripts.revisions import RevisionRow
from callreel.web.dependencies import CallCorrections, Context, CurrentPerson, ExistingCall, Original
from callreel.web.heavy_requests import heavy
from callreel.web.values import LARGEST_INTEGER, Body

MOST_CHANGES = 1000
LONGEST_TURN = 20_000
MOST_LISTED = 50

routes = APIRouter(tags=["transcripts"])


class TurnChange(Body):
    """A new text for a turn or for one of its words, or another role for a turn."""

    turn: int = Field(ge=0, le=LARGEST_INTEGER)
    word: int | None = Field(default=None, ge=0, le=LARGEST_INTEGER)
    text: str | None = Field(default=None, max_length=LONGEST_TURN)
    role: Role | None = None


class Revision(Body):
    """Changes relative to the revision number `base`."""

    base: int = Field(ge=0, le=LARGEST_INTEGER)
    changes: list[TurnChange] = Field(min_length=1, max_length=MOST_CHANGES)


class Language(Body):
    """A code such as `de`, or a name such as `German`; empty for the engine's default."""

    language: str = Field(max_length=40)


@routes.post("/api/v1/calls/{call_id}/revisions", status_code=201)
@heavy
def correct(
    corrections: CallCorrections, person: CurrentPerson, call: ExistingCall, revision: Revision
) -> JSONResponse:
    """Correct words, turns or roles; the engine's text is kept."""
    changes = [
        Change(change.turn, change.word, change.text, change.role and call.displayed(change.role))
        for change in revision.changes
    ]
    made = corrections.correct(call.id, revision.base, changes, person.name)
    return JSONResponse(_revision(made, call), 201)


@routes.get("/api/v1/calls/{call_id}/revisions")
@heavy
def history(
    context: Context,
    call: ExistingCall,
    original: Original,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_INTEGER)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = MOST_LISTED,
) -> JSONResponse:
    """Who corrected what and when, newest first; `next_before` is the `before` of the next page, null on the last.

    Texts that are older than a redaction are masked unless `original=true`.
    """
    with context.database.read() as conn:
        rows = revisions.of_call(conn, call.id, limit + 1, before)
        redacted = [] if original else redactions.of_call(conn, call.id)
    newest = max((one.at for one in redacted if one.removed_at is None), default=None)
    hidden = call.withheld and not original
    return JSONResponse(
        {
            "revisions": [
                _revision(row, call, masked=hidden or (newest is not None and row.at <= newest))
                for row in rows[:limit]
            ],
            "next_before": rows[limit - 1].number if len(rows) > limit else None,
        }
    )


@routes.put("/api/v1/calls/{call_id}/language")
def set_language(context: Context, call: ExistingCall, wanted: Language) -> JSONResponse:
    """Set the language of the final transcription and of later ones; the live transcript stays as it is."""
    code = code_of(wanted.language) if wanted.language else ""
    context.options.check_language(code)
    with context.database.write() as conn:
        describe(subject=code)
        calls.set_language(conn, call.id, code)
    return JSONResponse({"language": code or None})


@routes.get("/api/v1/calls/{call_id}/difference")
@heavy
def difference(context: Context, call: ExistingCall, original: Original) -> JSONResponse:
    """The live and the final transcript, word by word. `original=true` shows what is redacted."""
    with context.database.read() as conn:
        shown = revisions.shown(conn, call.id)
        live = live_turns(conn, call)
        stretches = stretches_to_mask(conn, call, original=original)
    texts = (live, shown.turns if shown else ())
    hidden = call.withheld and not original
    runs = differences(*(() if hidden else masked_turns(turns, stretches) for turns in texts))
    return JSONResponse(
        {
            "difference": [
                {
                    "op": run.op,
                    "role": call.displayed(run.role).value,
                    "live": _words(run.live),
                    "final": _words(run.final),
                }
                for run in runs
            ]
        }
    )


def _revision(row: RevisionRow, call: CallRow, *, masked: bool = False) -> dict[str, Json]:
    changes = [
        {**change, "text": Entity.OTHER.mask} if masked and change.get("text") else change
        for change in row.changes
    ]
    made: dict[str, Json] = {**revision_head(row), "changes": changes}
    return swap_roles(made) if call.roles_swapped else made


def _words(words: Iterable[Word]) -> list[Json]:
    return [{"text": word.text, "start_ms": word.start_ms, "end_ms": word.end_ms} for word in words]
