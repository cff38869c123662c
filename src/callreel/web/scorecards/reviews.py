"""The API of the reviews of a call: drafts, finished ones, disputes."""

from typing import Annotated

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from callreel.domain.access import Right
from callreel.domain.events import Json
from callreel.scorecards.reviewing import may_resolve
from callreel.scorecards.summary import call_reviews, comparisons, review_summary
from callreel.scoring.questions import MOST_QUESTIONS
from callreel.scoring.score import LONGEST_REMARK, MOST_MOMENTS, Answer, Remark
from callreel.store.scorecards import forms, reviews
from callreel.store.scorecards.reviews import ReviewRow
from callreel.web.api.notes import LONGEST_CALL_MS
from callreel.web.dependencies import CallReviews, Context, CurrentPerson, ExistingCall
from callreel.web.options import WebContext
from callreel.web.values import LARGEST_INTEGER, Body, RowId

_PATH = "/api/v1/calls/{call_id}/scorecards"

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


@routes.put(f"{_PATH}/{{review_id}}")
def save(
    context: Context,
    reviewing: CallReviews,
    person: CurrentPerson,
    call: ExistingCall,
    review_id: RowId,
    draft: Draft,
) -> JSONResponse:
    """Save your draft. If other answers were saved since `revision`, it stays as it is (409)."""
    row = reviewing.save(call.id, review_id, draft.revision, *draft.parsed(), person.name)
    return _answer(context, row)


@routes.post(f"{_PATH}/{{review_id}}/finish")
def finish(
    context: Context,
    reviewing: CallReviews,
    person: CurrentPerson,
    call: ExistingCall,
    review_id: RowId,
    draft: Draft,
) -> JSONResponse:
    """Save and finish your draft: the agent sees it, and it can no longer be edited. Every question needs an answer."""
    row = reviewing.save(call.id, review_id, draft.revision, *draft.parsed(), person.name, finish=True)
    return _answer(context, row)


@routes.delete(f"{_PATH}/{{review_id}}", status_code=204)
def discard(reviewing: CallReviews, person: CurrentPerson, call: ExistingCall, review_id: RowId) -> Response:
    """Delete your draft."""
    reviewing.discard(call.id, review_id, person.name)
    return Response(status_code=204)


@routes.post(f"{_PATH}/{{review_id}}/dispute")
def dispute(
    context: Context,
    reviewing: CallReviews,
    person: CurrentPerson,
    call: ExistingCall,
    review_id: RowId,
    wanted: Dispute,
) -> JSONResponse:
    """Dispute a finished review of a call of your own, once."""
    row = reviewing.dispute(call.id, review_id, wanted.reason, person.name, person.identity)
    return _answer(context, row)


@routes.post(f"{_PATH}/{{review_id}}/resolve")
def resolve(
    context: Context,
    reviewing: CallReviews,
    person: CurrentPerson,
    call: ExistingCall,
    review_id: RowId,
    wanted: Resolution,
) -> JSONResponse:
    """Answer a dispute: uphold the review, or change its points. The reviewer may only if no other supervisor can."""
    row = reviewing.resolve(call.id, review_id, wanted.text, wanted.parsed(), person.name)
    return _answer(context, row)


def _answer(context: WebContext, row: ReviewRow, status: int = 200) -> JSONResponse:
    key = (row.scorecard_id, row.version)
    with context.database.read() as conn:
        version = forms.versions(conn, [key])[key]
    return JSONResponse(review_summary(row, version), status)
