"""The API and the page of scorecards. The page's script changes them through the API, which checks the rights."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import Field

from callreel.scorecards.summary import disputes, scorecard_summaries, scorecard_summary
from callreel.scoring.questions import (
    LONGEST_QUESTION,
    LONGEST_TITLE,
    MOST_QUESTIONS,
    POINTS,
    Question,
    QuestionKind,
)
from callreel.web.dependencies import Context, CurrentPerson, Page, ScorecardForms
from callreel.web.values import LARGEST_INTEGER, Body, RowId

routes = APIRouter(tags=["scorecards"])


class NewQuestion(Body):
    """`key` names the question of the version before that this one continues; 0 for a new question."""

    key: int = Field(default=0, ge=0, le=LARGEST_INTEGER)
    text: str = Field(max_length=2 * LONGEST_QUESTION)
    kind: QuestionKind
    points: int = Field(default=0, ge=0, le=100)
    critical: bool = False


class NewScorecard(Body):
    """A scorecard's name and its questions in their order."""

    name: str = Field(max_length=2 * LONGEST_TITLE)
    questions: list[NewQuestion] = Field(min_length=1, max_length=MOST_QUESTIONS)

    def parsed(self) -> list[Question]:
        return [Question(one.key, one.text, one.kind, one.points, one.critical) for one in self.questions]


class NewVersion(NewScorecard):
    """`base` is the number of the version that was edited."""

    base: int = Field(ge=1, le=LARGEST_INTEGER)


class ScorecardChange(Body):
    """Whether it can no longer be chosen for new reviews."""

    retired: bool


@routes.get("/scorecards", include_in_schema=False)
def scorecard_page(context: Context, page: Page) -> HTMLResponse:
    with context.database.read() as conn:
        disputed = disputes(conn)
    return page(
        "scorecards.html",
        here="scorecards",
        disputed=disputed,
        longest_title=LONGEST_TITLE,
        longest_question=LONGEST_QUESTION,
        most_questions=MOST_QUESTIONS,
        points={kind.value: span for kind, span in POINTS.items()},
    )


@routes.get("/api/v1/scorecards")
def listed(context: Context) -> JSONResponse:
    """All scorecards in their newest version, by name, retired ones last."""
    with context.database.read() as conn:
        return JSONResponse({"scorecards": scorecard_summaries(conn)})


@routes.post("/api/v1/scorecards", status_code=201)
def add(scorecards: ScorecardForms, person: CurrentPerson, wanted: NewScorecard) -> JSONResponse:
    """Add a scorecard with version 1. Yes-or-no questions give 1 to 100 points, scales 2 to 10, texts none."""
    row = scorecards.add(wanted.name, wanted.parsed(), person.name)
    return JSONResponse(scorecard_summary(row, retired=False), 201)


@routes.post("/api/v1/scorecards/{scorecard_id}/versions", status_code=201)
def add_version(
    scorecards: ScorecardForms, person: CurrentPerson, scorecard_id: RowId, wanted: NewVersion
) -> JSONResponse:
    """Add the next version, for new reviews. Reviews keep the version that they were started with."""
    row, retired = scorecards.add_version(
        scorecard_id, wanted.base, wanted.name, wanted.parsed(), person.name
    )
    return JSONResponse(scorecard_summary(row, retired=retired), 201)


@routes.patch("/api/v1/scorecards/{scorecard_id}")
def change(scorecards: ScorecardForms, scorecard_id: RowId, wanted: ScorecardChange) -> JSONResponse:
    """Retire a scorecard, so that no new review uses it, or bring it back. Its reviews stay."""
    row = scorecards.set_retired(scorecard_id, wanted.retired)
    return JSONResponse(scorecard_summary(row, retired=wanted.retired))
