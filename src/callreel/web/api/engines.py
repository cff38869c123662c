"""The API about engines: which hear and why, what each can do, and the words that they should expect."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator

from callreel.domain.events import Json
from callreel.store.transcripts import vocabulary
from callreel.store.transcripts.vocabulary import PhraseRow
from callreel.web.auth.person import person_of
from callreel.web.options import WebContext

MOST_PHRASES = 1000
LONGEST_PHRASE = 80


class Vocabulary(BaseModel):
    """The whole list: words, names, or a few words that belong together."""

    model_config = ConfigDict(extra="forbid")

    phrases: list[str] = Field(max_length=MOST_PHRASES)

    @field_validator("phrases")
    @classmethod
    def _written_out(cls, value: list[str]) -> list[str]:
        phrases = [" ".join(phrase.split()) for phrase in value]
        if not all(phrase and len(phrase) <= LONGEST_PHRASE and "," not in phrase for phrase in phrases):
            raise ValueError(f"each phrase should have 1 to {LONGEST_PHRASE} characters and no comma")
        return phrases


def router(context: WebContext) -> APIRouter:
    """`/api/engines` and `/api/vocabulary`."""
    routes = APIRouter(tags=["engines"])

    @routes.get("/api/engines")
    def engines() -> JSONResponse:
        """Who hears live and after the call, why, who stands in, and what every engine can do here."""
        return JSONResponse(context.options.engines())

    @routes.get("/api/vocabulary")
    def phrases() -> JSONResponse:
        """Words that people want engines to expect; technicians' names are added by themselves."""
        with context.database.read() as conn:
            rows = vocabulary.all_phrases(conn)
        return JSONResponse(_list(rows))

    @routes.put("/api/vocabulary")
    def replace(request: Request, wanted: Vocabulary) -> JSONResponse:
        """Make this the list. Engines get it when they are begun next."""
        with context.database.write() as conn:
            rows = vocabulary.replace(conn, wanted.phrases, person_of(request).name, context.clock.now())
        return JSONResponse(_list(rows))

    return routes


def _list(rows: list[PhraseRow]) -> dict[str, Json]:
    return {
        "phrases": [row.phrase for row in rows],
        "entries": [
            {"phrase": row.phrase, "by": row.added_by, "at": row.created_at.isoformat(timespec="seconds")}
            for row in rows
        ],
    }
