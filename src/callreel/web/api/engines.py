"""The API of ASR engines: which are in use and why, what each supports, and the custom vocabulary."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field, field_validator

from callreel.store.audit.pending import describe
from callreel.store.transcripts import vocabulary
from callreel.store.transcripts.vocabulary import PhraseRow
from callreel.web.dependencies import Context, CurrentPerson
from callreel.web.values import Body

MOST_PHRASES = 1000
LONGEST_PHRASE = 80

routes = APIRouter(tags=["engines"])


class Vocabulary(Body):
    """The whole custom vocabulary: words, names, or short phrases."""

    phrases: list[str] = Field(max_length=MOST_PHRASES)

    @field_validator("phrases")
    @classmethod
    def _normalized(cls, value: list[str]) -> list[str]:
        phrases = [" ".join(phrase.split()) for phrase in value]
        if not all(phrase and len(phrase) <= LONGEST_PHRASE and "," not in phrase for phrase in phrases):
            raise ValueError(f"each phrase needs 1 to {LONGEST_PHRASE} characters and no comma")
        return phrases


@routes.get("/api/v1/engines")
def engines(context: Context) -> JSONResponse:
    """The engines of live and final transcripts, why they were chosen, the fallback in use, and all engines."""
    return JSONResponse(context.options.engine_report())


@routes.get("/api/v1/vocabulary")
def get_vocabulary(context: Context) -> JSONResponse:
    """The custom vocabulary. Engines also get the technicians' names."""
    with context.database.read() as conn:
        return _listed(vocabulary.all_phrases(conn))


@routes.put("/api/v1/vocabulary")
def replace_vocabulary(context: Context, person: CurrentPerson, wanted: Vocabulary) -> JSONResponse:
    """Replace the custom vocabulary. Engines use it from their next start."""
    describe(phrases=len(wanted.phrases))
    with context.database.write() as conn:
        rows = vocabulary.replace(conn, wanted.phrases, person.name, context.clock.now())
    return _listed(rows)


def _listed(rows: list[PhraseRow]) -> JSONResponse:
    entries = [
        {"phrase": row.phrase, "by": row.added_by, "at": row.created_at.isoformat(timespec="seconds")}
        for row in rows
    ]
    return JSONResponse({"phrases": [row.phrase for row in rows], "entries": entries})
