"""The API of the reviews of a call: drafts, finished ones, disputes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from callreel.domain.access import Right
from callreel.domain.events import Json
from callreel.language_model.inquiry import Watch
from callreel.review import suggesting
from callreel.scorecards.reviewing import may_resolve
from callreel.scorecards.summary import call_reviews, comparisons, review_summary
from callreel.scoring.questions import MOST_QUESTIONS
from callreel.scoring.score import LONGEST_REMARK, MOST_MOMENTS, Answer, Remark
from callreel.store.audit.pending import append_deferred_entry, describe
from callreel.store.scorecards import forms, reviews
from callreel.store.scorecards.reviews import ReviewRow
from callreel.web.api.notes import LONGEST_CALL_MS
from callreel.web.dependencies import CallReviews, Context, CurrentPerson, ExistingCall, LanguageModel
from callreel.web.insight.awaited_answers import awaited
from callreel.web.options import WebContext
from callreel.web.values import LARGEST_INTEGER, Body, RowId

_PATH = "/api/v1/calls/{call_id}/scorecards"
_REVIEW = f"{_PATH}/{{review_id}}"

routes = APIRouter(tags=["scorecards"])


class NewReview(Body):
    """The id of a scorecard."""

    scorecard_id: int = Field(ge=1, le=LARGEST_INTEGER)


class Points(Body):
    """The answer to one question: its points, or that it does not apply. Neither: not answered yet."""

    question: int = Field(ge=1, le=LARGEST_INTEGER)
    points: int | None = Field(default=None, ge=0, le=100)
    not_applicable: bool = False


class Answered(Points):
    """`text` is the answer to a question for a text, else a comment; `moments_ms` are positions in the call."""

    text: str = Field(default="", max_length=2 * LONGEST_REMARK)
    moments_ms: list[Annotated[int, Field(ge=0, le=LONGEST_CALL_MS)]] = Field(
        default=[], max_length=MOST_MOMENTS
    )


class Draft(Body):
    """`revision` is the one that was edited; `answers` replace all answers of the draft."""

    revision: int = Field(ge=0, le=LARGEST_INTEGER)
    answers: list[Answered] = Field(max_length=MOST_QUESTIONS)

    def parsed(self) -> tuple[list[Answer], list[Remark]]:
        answers = [Answer(one.question, one.points, one.not_applicable) for one in self.answers]
        return answers, [Remark(one.question, one.text, tuple(one.moments_ms)) for one in self.answers]


class Dispute(Body):
    """Why the agent disputes the review."""

    reason: str = Field(min_length=1, max_length=2 * LONGEST_REMARK)


class Resolution(Body):
    """An explanation, empty only where a retention policy deleted the text of the call. Without `answers` the review is upheld; with them it is changed: they replace all its points."""

    text: str = Field(max_length=2 * LONGEST_REMARK)
    answers: list[Points] | None = Field(default=None, max_length=MOST_QUESTIONS)

    def parsed(self) -> list[Answer] | None:
        if self.answers is None:
            return None
        return [Answer(one.question, one.points, one.not_applicable) for one in self.answers]


@dataclass(frozen=True, slots=True)
class OneReview:
    """The review that a request names, and who sent it."""

    context: Context
    reviewing: CallReviews
    person: CurrentPerson
    call: ExistingCall
    review_id: RowId

    def save(self, draft: Draft, *, finish: bool) -> JSONResponse:
        answers, remarks = draft.parsed()
        row = self.reviewing.save(
            self.call.id, self.review_id, draft.revision, answers, remarks, self.person.name, finish=finish
        )
        return _answer(self.context, row)


Review = Annotated[OneReview, Depends()]


@routes.get(_PATH)
def listed(context: Context, person: CurrentPerson, call: ExistingCall) -> JSONResponse:
    """The call's finished reviews and your own drafts; for supervisors also reviews of several people side by side.

    While you have a draft with a scorecard, what others answered with it is left out. `resolvable` are the ids of the
    disputed reviews that you may resolve.
    """
    with context.database.read() as conn:
        answer: dict[str, Json] = {"reviews": call_reviews(conn, call.id, person.name)}
        if person.own is None:
            answer["comparisons"] = comparisons(conn, call.id, person.name)
        if person.may(Right.REVIEW_CALLS):
            rows = reviews.of_call(conn, call.id)
            answer["resolvable"] = [row.id for row in rows if may_resolve(conn, row, person.name)]
    return JSONResponse(answer)


@routes.post(_PATH, status_code=201)
def start(
    context: Context, reviewing: CallReviews, person: CurrentPerson, call: ExistingCall, wanted: NewReview
) -> JSONResponse:
    """Begin your review of an ended call with a scorecard's newest version; if you have one already, that one (200)."""
    row, new = reviewing.start(call.id, wanted.scorecard_id, person.name)
    return _answer(context, row, 201 if new else 200)


@routes.put(_REVIEW)
def save(review: Review, draft: Draft) -> JSONResponse:
    """Save your draft. If other answers were saved since `revision`, it stays as it is (409)."""
    return review.save(draft, finish=False)


@routes.post(f"{_REVIEW}/finish")
def finish(review: Review, draft: Draft) -> JSONResponse:
    """Save and finish your draft: the agent sees it, and it can no longer be edited. Every question needs an answer."""
    return review.save(draft, finish=True)


@routes.delete(_REVIEW, status_code=204)
def discard(review: Review) -> Response:
    """Delete your draft."""
    review.reviewing.discard(review.call.id, review.review_id, review.person.name)
    return Response(status_code=204)


@routes.post(f"{_REVIEW}/dispute")
def dispute(review: Review, wanted: Dispute) -> JSONResponse:
    """Dispute a finished review of a call of your own, once."""
    person = review.person
    row = review.reviewing.dispute(
        review.call.id, review.review_id, wanted.reason, person.name, person.identity
    )
    return _answer(review.context, row)


@routes.post(f"{_REVIEW}/resolve")
def resolve(review: Review, wanted: Resolution) -> JSONResponse:
    """Answer a dispute: uphold the review, or change its points. The reviewer may only if no other supervisor can."""
    row = review.reviewing.resolve(
        review.call.id, review.review_id, wanted.text, wanted.parsed(), review.person.name
    )
    return _answer(review.context, row)


@routes.post(f"{_REVIEW}/suggestions")
async def suggestions(request: Request, model: LanguageModel, review: Review) -> Response:
    """Ask a language model for answers to the questions of your draft that give points, each with the turns that it came from.

    Nothing of it is stored: you accept a suggestion by saving it as your answer. A client that accepts `text/event-stream` gets events
    `progress`, then `answer` or `error`. A client that disconnects cancels it.
    """

    def answer(watch: Watch) -> Mapping[str, Json]:
        call_id, by = review.call.id, review.person.name
        questions = review.reviewing.drafted_questions(call_id, review.review_id, by)
        found = suggesting.suggest(model, call_id, questions, watch)
        describe(
            server=found.facts["server"], model=found.facts["model"], suggestions=len(found.suggestions), dropped=found.dropped
        )  # fmt: skip
        append_deferred_entry(review.context.database)
        return found.summary()

    return await awaited(request, review.context, answer)


def _answer(context: WebContext, row: ReviewRow, status: int = 200) -> JSONResponse:
    key = (row.scorecard_id, row.version)
    with context.database.read() as conn:
        version = forms.versions(conn, [key])[key]
    return JSONResponse(review_summary(row, version), status)
