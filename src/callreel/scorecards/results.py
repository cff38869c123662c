"""Results of the reviews of a period: means by agent, month and question, and one row for each answer."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo

from sqlalchemy import Connection

from callreel.domain.errors import CallreelError
from callreel.domain.events import Json
from callreel.scoring.questions import Question
from callreel.scoring.results import Mean, ReviewResult, means, question_means
from callreel.scoring.score import percent, score_of
from callreel.store.scorecards import forms, reviews

MOST_RESULTS = 5_000
"""Reviews of one period."""
COLUMNS = (
    "call_id", "call_at", "agent", "scorecard", "version", "reviewer", "state", "score_percent", "question_key",
    "question", "points", "possible_points", "not_applicable",
)  # fmt: skip
"""Of `result_rows`."""


class TooManyResultsError(CallreelError):
    """The period has more reviews than one report can show."""


@dataclass(frozen=True, slots=True)
class ResultFilter:
    """Reviews of calls that began from `first` and before `before`; months are those of `zone`."""

    first: datetime
    before: datetime
    zone: tzinfo
    scorecard_id: int | None = None
    agent: str | None = None


def results(conn: Connection, wanted: ResultFilter) -> dict[str, Json]:
    """Means of all reviews, and by agent, by agent and month, and by question. Raises TooManyResultsError."""
    found = [result for result, _ in _read(conn, wanted)]
    newest = forms.newest(conn)
    texts = {
        (card, question.key): question.text
        for card, version in newest.items()
        for question in version.questions
    }
    for result in reversed(found):  # of questions that the newest version has no more
        for question in result.questions:
            texts.setdefault((result.scorecard, question.key), question.text)
    months = _months({result.month for result in found})
    by_agent = means(found, lambda result: result.agent)
    of_month = {
        (mean.scorecard, mean.question, month): percent(mean.share)
        for month in months
        for mean in question_means(result for result in found if result.month == month)
    }
    by_month = means(found, lambda result: (result.agent, result.month))
    return {
        "total": _mean(means(found, lambda result: "").get("", Mean(0, None))),
        "months": [*months],
        "agents": [
            {
                "agent": agent,
                **_mean(by_agent[agent]),
                "months": {month: _mean(mean) for (one, month), mean in by_month.items() if one == agent},
            }
            for agent in sorted(by_agent)
        ],
        "questions": [
            {
                "scorecard_id": mean.scorecard,
                "scorecard": newest[mean.scorecard].name,
                "question": mean.question,
                "text": texts[mean.scorecard, mean.question],
                "answers": mean.answers,
                "not_applicable": mean.not_applicable,
                "percent": percent(mean.share),
                "months": {
                    month: of_month[mean.scorecard, mean.question, month]
                    for month in months
                    if (mean.scorecard, mean.question, month) in of_month
                },
            }
            for mean in question_means(found)
        ],
    }


def result_rows(conn: Connection, wanted: ResultFilter) -> Iterator[list[str]]:
    """One row for each answer with points or *not applicable*, as `COLUMNS`; no free text. Raises TooManyResultsError."""
    names = {card: version.name for card, version in forms.newest(conn).items()}
    for result, row in _read(conn, wanted):
        share = percent(score_of(result.questions, result.answers).share)
        questions: dict[int, Question] = {question.key: question for question in result.questions}
        head = [
            row.call_id, row.created_at.isoformat(), row.agent, names[row.scorecard_id], str(row.version), row.reviewer,
            row.state.value, "" if share is None else str(share),
        ]  # fmt: skip
        for answer in result.answers:
            question = questions[answer.question]
            points = "" if answer.points is None else str(answer.points)
            na = "yes" if answer.not_applicable else "no"
            yield [*head, str(question.key), question.text, points, str(question.points), na]


def _read(conn: Connection, wanted: ResultFilter) -> list[tuple[ReviewResult, reviews.FinishedRow]]:
    rows = reviews.finished(
        conn,
        wanted.first,
        wanted.before,
        MOST_RESULTS + 1,
        scorecard_id=wanted.scorecard_id,
        agent=wanted.agent,
    )
    if len(rows) > MOST_RESULTS:
        raise TooManyResultsError(f"more than {MOST_RESULTS} reviews in this period: choose a shorter one")
    versions = forms.versions(conn, [(row.scorecard_id, row.version) for row in rows])
    return [
        (
            ReviewResult(
                row.agent,
                row.created_at.astimezone(wanted.zone).strftime("%Y-%m"),
                row.scorecard_id,
                versions[row.scorecard_id, row.version].questions,
                row.answers,
            ),
            row,
        )
        for row in rows
    ]


def _months(found: Collection[str]) -> list[str]:
    """Every month from the first to the last of these, so that a trend has its gaps."""
    if not found:
        return []
    at, last, every = min(found), max(found), list[str]()
    while at <= last:
        every.append(at)
        year, month = int(at[:4]), int(at[5:])
        at = f"{year + month // 12:04}-{month % 12 + 1:02}"
    return every


def _mean(mean: Mean) -> dict[str, Json]:
    return {"reviews": mean.reviews, "percent": percent(mean.share), "critical_failures": mean.failed}
