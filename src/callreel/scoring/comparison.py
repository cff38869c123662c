"""Reviews of one call by several people with the same version of a scorecard, side by side (calibration). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from callreel.scoring.questions import Question, QuestionKind
from callreel.scoring.score import Answer


@dataclass(frozen=True, slots=True)
class ComparedQuestion:
    """One question with the answer of each review, in their order. `spread` is the greatest difference in points."""

    question: int
    answers: tuple[Answer, ...]
    same: bool
    spread: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """`agreement` is the share of the questions that give points on which all reviews have the same answer."""

    questions: tuple[ComparedQuestion, ...]
    agreement: Fraction


def compare(questions: Sequence[Question], reviews: Sequence[Sequence[Answer]]) -> Comparison:
    """Compare at least two finished reviews. Questions for a text are left out: words are not compared."""
    found = [{answer.question: answer for answer in review} for review in reviews]
    compared = []
    for question in questions:
        if question.kind is QuestionKind.TEXT:
            continue
        answers = tuple(review.get(question.key, Answer(question.key)) for review in found)
        points = [answer.points for answer in answers if answer.points is not None]
        spread = max(points) - min(points) if points else 0
        compared.append(ComparedQuestion(question.key, answers, len(set(answers)) == 1, spread))
    return Comparison(tuple(compared), Fraction(sum(one.same for one in compared), len(compared)))
