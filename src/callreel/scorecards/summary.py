"""Scorecards and reviews as JSON, for the API, the pages and exports."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from sqlalchemy import Connection

from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.domain.json_time import json_time
from callreel.scorecards.reviewing import drafted
from callreel.scoring.comparison import compare
from callreel.scoring.dispute import ReviewState
from callreel.scoring.questions import Question
from callreel.scoring.score import Answer, percent, score_of
from callreel.store.scorecards import forms, reviews
from callreel.store.scorecards.forms import ScorecardRow, VersionRow
from callreel.store.scorecards.reviews import ReviewRow

MOST_DISPUTES = 200
"""In the list of open disputes: the oldest."""


def scorecard_summary(version: VersionRow, *, retired: bool) -> dict[str, Json]:
    return {
        "id": version.scorecard_id,
        "version": version.number,
        "name": version.name,
        "retired": retired,
        "by": version.by,
        "at": json_time(version.at),
        "questions": _questions(version.questions),
    }


def scorecard_summaries(conn: Connection) -> list[dict[str, Json]]:
    """All scorecards in their newest version, by name; retired ones last."""
    newest = forms.newest(conn)
    cards: Iterable[ScorecardRow] = (card for card in forms.everything(conn) if card.id in newest)
    found = [scorecard_summary(newest[card.id], retired=card.retired) for card in cards]
    return sorted(found, key=lambda one: (bool(one["retired"]), str(one["name"]).casefold(), str(one["id"])))


def review_summary(row: ReviewRow, version: VersionRow) -> dict[str, Json]:
    """One review with the questions of its version."""
    answers = {answer.question: answer for answer in row.answers}
    remarks = {remark.question: remark for remark in row.remarks}
    return {
        "id": row.id,
        "scorecard_id": row.scorecard_id,
        "version": row.version,
        "name": version.name,
        "reviewer": row.reviewer,
        "state": row.state.value,
        "revision": row.revision,
        "finished_at": json_time(row.finished_at),
        "score": _score(version.questions, row.answers),
        "score_before": None if row.answers_before is None else _score(version.questions, row.answers_before),
        "questions": _questions(version.questions),
        "answers": [
            {
                **_answer(answers.get(question.key, Answer(question.key))),
                "text": remarks[question.key].text if question.key in remarks else "",
                "moments_ms": list(remarks[question.key].moments_ms) if question.key in remarks else [],
            }
            for question in version.questions
        ],
        "dispute": {"reason": row.dispute, "by": row.disputed_by, "at": json_time(row.disputed_at)}
        if row.disputed_at
        else None,
        "resolution": {"text": row.resolution, "by": row.resolved_by, "at": json_time(row.resolved_at)}
        if row.resolved_at
        else None,
    }


def call_reviews(conn: Connection, call_id: CallId, reader: str | None) -> list[dict[str, Json]]:
    """The finished reviews of a call, and the drafts of `reader`, oldest first.

    What others answered with a scorecard of which `reader` has a draft is left out, so that it cannot sway them.
    """
    rows = _readable_by(reviews.of_call(conn, call_id), reader)
    versions = forms.versions(conn, [(row.scorecard_id, row.version) for row in rows])
    return [review_summary(row, versions[row.scorecard_id, row.version]) for row in rows]


def disputes(conn: Connection) -> list[dict[str, Json]]:
    """The reviews whose dispute is open, the oldest dispute first, without what people wrote."""
    rows = reviews.disputed(conn, MOST_DISPUTES)
    versions = forms.versions(conn, map(_version_of, rows))
    return [
        {
            "id": row.id,
            "call_id": row.call_id,
            "name": versions[_version_of(row)].name,
            "reviewer": row.reviewer,
            "by": row.disputed_by,
            "at": json_time(row.disputed_at),
        }
        for row in rows
    ]


def comparisons(conn: Connection, call_id: CallId, reader: str) -> list[dict[str, Json]]:
    """The finished reviews of a call with one version of a scorecard side by side, for each that has two or more.

    Without those of a scorecard of which `reader` has a draft.
    """
    rows = [
        row
        for row in _readable_by(reviews.of_call(conn, call_id), reader)
        if row.state is not ReviewState.DRAFT
    ]
    rows.sort(key=_version_of)
    versions = forms.versions(conn, map(_version_of, rows))
    found: list[dict[str, Json]] = []
    for key, group in groupby(rows, _version_of):
        of_version = list(group)
        if len(of_version) < 2:
            continue
        comparison = compare(versions[key].questions, [row.answers for row in of_version])
        found.append(
            {
                "scorecard_id": key[0],
                "version": key[1],
                "name": versions[key].name,
                "reviewers": [row.reviewer for row in of_version],
                "scores": [_score(versions[key].questions, row.answers)["percent"] for row in of_version],
                "agreement_percent": percent(comparison.agreement),
                "questions": [
                    {
                        "question": one.question,
                        "text": next(q.text for q in versions[key].questions if q.key == one.question),
                        "answers": [_answer(answer) for answer in one.answers],
                        "same": one.same,
                        "spread": one.spread,
                    }
                    for one in comparison.questions
                ],
            }
        )
    return found


def _readable_by(rows: Sequence[ReviewRow], reader: str | None) -> list[ReviewRow]:
    hidden = drafted(rows, reader)
    return [
        row
        for row in rows
        if row.reviewer == reader or (row.state is not ReviewState.DRAFT and row.scorecard_id not in hidden)
    ]


def _version_of(row: ReviewRow) -> tuple[int, int]:
    return row.scorecard_id, row.version


def _questions(questions: Sequence[Question]) -> list[Json]:
    return [
        {
            "key": question.key,
            "text": question.text,
            "kind": question.kind.value,
            "points": question.points,
            "critical": question.critical,
        }
        for question in questions
    ]


def _answer(answer: Answer) -> dict[str, Json]:
    return {
        "question": answer.question,
        "points": answer.points,
        "not_applicable": answer.not_applicable,
    }


def _score(questions: Sequence[Question], answers: Sequence[Answer]) -> dict[str, Json]:
    score = score_of(questions, answers)
    return {
        "percent": percent(score.share),
        "reached": score.reached,
        "possible": score.possible,
        "failed": list(score.failed),
    }
