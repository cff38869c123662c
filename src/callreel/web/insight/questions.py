"""The API and the page of questions about many calls to a language model."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import Field
from sqlalchemy import Connection

from callreel.domain.access import Right
from callreel.domain.events import Json
from callreel.insight.question import LONGEST_QUESTION, MOST_CALLS
from callreel.language_model.inquiry import LONGEST_S, Watch
from callreel.review import asking
from callreel.store.audit.pending import append_deferred_entry, describe
from callreel.store.calls.call_list import CallFilter
from callreel.web.api.calls import CallQuery, with_typed_filters
from callreel.web.dependencies import Context, CurrentPerson, LanguageModel, Page
from callreel.web.errors import ForbiddenError, InvalidError
from callreel.web.insight.awaited_answers import awaited
from callreel.web.values import Body

routes = APIRouter(tags=["analysis"])


class Question(Body):
    """`original` also sends what is redacted, for people who may see it, to a language model on the server's own machine."""

    question: str = Field(min_length=1, max_length=LONGEST_QUESTION)
    original: bool = False


@routes.get("/ask", include_in_schema=False)
def ask_page(context: Context, model: LanguageModel, page: Page, request: Request) -> HTMLResponse:
    return page(
        "ask.html",
        here="calls",
        query=request.url.query,
        longest=LONGEST_QUESTION,
        most_calls=MOST_CALLS,
        most_minutes=round(LONGEST_S / 60),
        model=context.options.language_model,
    )


@routes.post("/api/v1/questions")
async def ask(
    context: Context,
    model: LanguageModel,
    person: CurrentPerson,
    request: Request,
    query: Annotated[CallQuery, Query()],
    wanted: Question,
) -> Response:
    """Ask a language model about the first 50 of the calls that `GET /api/v1/calls` lists with these parameters.

    Each sentence of the answer cites turns of these calls. Nothing of it is stored. A client that accepts `text/event-stream` gets
    events `progress`, then `answer` or `error`. A client that disconnects cancels the question.
    """
    question = wanted.question.strip()
    if not question:
        raise InvalidError("a question is required")
    if wanted.original and not person.may(Right.READ_ORIGINALS):
        raise ForbiddenError("you do not have permission to see originals")
    selected = query.filter(person.own, person.name)

    def select(conn: Connection) -> CallFilter:
        return with_typed_filters(conn, context, selected, query)

    def answer(watch: Watch) -> Mapping[str, Json]:
        found = asking.ask(model, question, select, query.sort, watch, original=wanted.original)
        describe(
            server=found.facts["server"], model=found.facts["model"], calls=found.read, sentences=len(found.sentences), dropped=found.dropped,
            original=wanted.original, cited=sorted({one.call_id for _, cited in found.sentences for one in cited}),
        )  # fmt: skip
        append_deferred_entry(context.database)
        return found.summary()

    return await awaited(request, context, answer)
