"""Answers to the questions of a scorecard, and the score that they make. Pure.

The score is the points reached divided by the points possible of the questions that were answered with points. *Not
applicable* is an answer that counts in neither. A critical question that was answered with no makes it 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from callreel.scoring.questions import Question, QuestionKind

LONGEST_REMARK: Final = 2000
"""Characters of the text beside an answer, or of a dispute or its resolution."""
MOST_MOMENTS: Final = 10
"""Links to moments of the call, beside one answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the question with this key. `points` None: not answered, or `not_applicable`."""

    question: int
    points: int | None = None
    not_applicable: bool = False


@dataclass(frozen=True, slots=True)
class Remark:
    """What a reviewer wrote beside an answer, and the positions in the call that it is about, in milliseconds."""

    question: int
    text: str = field(default="", repr=False)
    moments_ms: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """`failed` are the keys of the critical questions that were answered with no."""

    reached: int
    possible: int
    failed: tuple[int, ...] = ()

    @property
    def share(self) -> Fraction | None:
        """From 0 to 1; None if no question was answered with points."""
        if self.failed:
            return Fraction(0)
        return Fraction(self.reached, self.possible) if self.possible else None


def score_of(questions: Sequence[Question], answers: Iterable[Answer]) -> Score:
    """The score of checked answers; those without points do not count."""
    points = {answer.question: answer.points for answer in answers}
    counted = [(question, given) for question in questions if (given := points.get(question.key)) is not None]
    return Score(
        sum(given for _, given in counted),
        sum(question.points for question, _ in counted),
        tuple(question.key for question, given in counted if question.critical and given == 0),
    )


def percent(share: Fraction | None) -> float | None:
    """A share as percent with one decimal, halves rounded up."""
    return None if share is None else int(share * 1000 + Fraction(1, 2)) / 10


def unanswered(questions: Sequence[Question], answers: Iterable[Answer]) -> list[int]:
    """The places, from 1, of the questions that need an answer before a review can be finished; texts need none."""
    given = {answer.question for answer in answers if answer.points is not None or answer.not_applicable}
    return [
        place
        for place, question in enumerate(questions, 1)
        if question.kind is not QuestionKind.TEXT and question.key not in given
    ]


def checked_answers(questions: Sequence[Question], answers: Sequence[Answer]) -> tuple[Answer, ...]:
    """The answers in the order of their questions; those that say nothing are left out. Raises ValueError."""
    by_key = _by_key(questions, [answer.question for answer in answers])
    for answer in answers:
        place, question = by_key[answer.question]
        if answer.points is None:
            continue
        if answer.not_applicable:
            raise ValueError(f"question {place} has points or is not applicable, not both")
        if question.kind is QuestionKind.TEXT:
            raise ValueError(f"question {place} gives no points")
        if not 0 <= answer.points <= question.points or (
            question.kind is QuestionKind.YES_NO and answer.points not in (0, question.points)
        ):
            raise ValueError(f"question {place} cannot give {answer.points} points")
    said = [answer for answer in answers if answer.points is not None or answer.not_applicable]
    return tuple(sorted(said, key=lambda answer: by_key[answer.question][0]))


def checked_remarks(questions: Sequence[Question], remarks: Sequence[Remark]) -> tuple[Remark, ...]:
    """The remarks in the order of their questions, moments sorted; empty ones are left out. Raises ValueError."""
    by_key = _by_key(questions, [remark.question for remark in remarks])
    kept = []
    for remark in remarks:
        place = by_key[remark.question][0]
        text, moments = remark.text.strip(), tuple(sorted(set(remark.moments_ms)))
        if len(text) > LONGEST_REMARK:
            raise ValueError(f"the text at question {place} has at most {LONGEST_REMARK} characters")
        if len(moments) > MOST_MOMENTS:
            raise ValueError(f"question {place} has at most {MOST_MOMENTS} moments")
        if text or moments:
            kept.append(Remark(remark.question, text, moments))
    return tuple(sorted(kept, key=lambda remark: by_key[remark.question][0]))


def _by_key(questions: Sequence[Question], keys: Sequence[int]) -> Mapping[int, tuple[int, Question]]:
    by_key = {question.key: (place, question) for place, question in enumerate(questions, 1)}
    if len(set(keys)) < len(keys):
        raise ValueError("a question is answered at most once")
    if not by_key.keys() >= set(keys):
        raise ValueError("an answer names a question that this version of the scorecard does not have")
    return by_key
