"""Results of many reviews: means by agent, by month and by question. Pure.

A mean is over reviews, each with the same weight. A review without any points has no score and is only counted.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from callreel.scoring.questions import Question
from callreel.scoring.score import Answer, score_of

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class ReviewResult:
    """One finished review. `agent` is the identity of the call's agent, `month` that of the call, as `2026-11`."""

    agent: str
    month: str
    scorecard: int
    questions: Sequence[Question]
    answers: Sequence[Answer]


@dataclass(frozen=True, slots=True)
class Mean:
    """`share` is the mean score from 0 to 1, None without any; `failed` counts reviews with a critical failure."""

    reviews: int
    share: Fraction | None
    failed: int = 0


@dataclass(frozen=True, slots=True)
class QuestionMean:
    """A question of a scorecard: the mean share of its points, and how many answers had points or were not applicable."""

    scorecard: int
    question: int
    answers: int
    not_applicable: int
    share: Fraction | None


def means(results: Iterable[ReviewResult], group: Callable[[ReviewResult], K]) -> dict[K, Mean]:
    """The mean score of each group, in the order of the groups' first reviews."""
    groups: dict[K, list[ReviewResult]] = {}
    for result in results:
        groups.setdefault(group(result), []).append(result)
    return {key: _mean(members) for key, members in groups.items()}


def question_means(results: Iterable[ReviewResult]) -> list[QuestionMean]:
    """The mean of each question that gives points, in the order of first sight; a key means the same in all versions."""
    found: dict[tuple[int, int], list[Fraction | None]] = {}
    for result in results:
        answers: Mapping[int, Answer] = {answer.question: answer for answer in result.answers}
        for question in result.questions:
            answer = answers.get(question.key)
            if answer is None or not question.points:
                continue
            share = None if answer.points is None else Fraction(answer.points, question.points)
            found.setdefault((result.scorecard, question.key), []).append(share)
    return [
        QuestionMean(
            scorecard, key, len(shares) - shares.count(None), shares.count(None), _mean_share(shares)
        )
        for (scorecard, key), shares in found.items()
    ]


def _mean(members: Sequence[ReviewResult]) -> Mean:
    scores = [score_of(member.questions, member.answers) for member in members]
    share = _mean_share([score.share for score in scores])
    return Mean(len(members), share, sum(bool(score.failed) for score in scores))


def _mean_share(shares: Iterable[Fraction | None]) -> Fraction | None:
    known = [share for share in shares if share is not None]
    return sum(known, Fraction(0)) / len(known) if known else None
