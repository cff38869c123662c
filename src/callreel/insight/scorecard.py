"""Answers that a language model suggests for the questions of a scorecard: the form of its answer, and what of it is kept. Pure.

The answer is not trusted, as in `answer.py`: a suggestion is kept only if it is a possible answer to a question that was sent, and
cites a turn that was sent for it. It is no answer of a review until a person accepts it.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import Field

from callreel.insight.answer import MOST_CITED, Numbers, Strict, short
from callreel.scoring.questions import Question, QuestionKind
from callreel.scoring.score import Answer

LONGEST_REASON: Final = 400
NOT_APPLICABLE: Final = "not applicable"


class SuggestedAnswer(Strict):
    """The answer to one question."""

    question: Annotated[int, Field(description="Its number.")]
    answer: Annotated[str, Field(description="One of the answers that the question allows.")]
    reason: str
    turns: Numbers


class SuggestedAnswers(Strict):
    """The answers that a model gives."""

    answers: list[SuggestedAnswer]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A possible answer, why, and the numbers of the real turns that it came from."""

    answer: Answer
    reason: str = field(repr=False)
    turns: tuple[int, ...]


def suggestible(questions: Iterable[Question]) -> list[Question]:
    """The questions with points. Words are left to the reviewer."""
    return [question for question in questions if question.kind is not QuestionKind.TEXT]


def as_data(questions: Iterable[Question]) -> list[dict[str, object]]:
    """The questions for the model, each with the answers that it allows."""
    return [
        {
            "question": question.key,
            "text": question.text,
            "answers": list(_points(question)) + [NOT_APPLICABLE],
        }
        for question in questions
    ]


def checked_suggestions(
    reply: SuggestedAnswers, questions: Sequence[Question], known: Collection[int]
) -> tuple[list[Suggestion], int]:
    """The first usable suggestion for each of `questions`, in their order, and how many others there were.

    A suggestion needs a possible answer, a reason, and one of the `known` turns.
    """
    by_key = {question.key: question for question in questions}
    kept: dict[int, Suggestion] = {}
    for given in reply.answers:
        question = by_key.get(given.question)
        answer = _answer(question, given.answer) if question else None
        reason = short(given.reason, LONGEST_REASON)
        cited = [number for number in dict.fromkeys(given.turns) if number in known][:MOST_CITED]
        if answer and reason and cited:
            kept.setdefault(answer.question, Suggestion(answer, reason, tuple(sorted(cited))))
    return [kept[key] for key in by_key if key in kept], len(reply.answers) - len(kept)


def as_parts(suggestions: Iterable[Suggestion], questions: Iterable[Question]) -> list[dict[str, object]]:
    """Checked suggestions in the form of an answer, for the request that merges them."""
    by_key = {question.key: question for question in questions}
    return [
        {
            "question": one.answer.question,
            "answer": _words(by_key[one.answer.question], one.answer),
            "reason": one.reason,
            "turns": list(one.turns),
        }
        for one in suggestions
    ]


def _points(question: Question) -> dict[str, int]:
    if question.kind is QuestionKind.YES_NO:
        return {"yes": question.points, "no": 0}
    return {str(points): points for points in range(question.points + 1)}


def _answer(question: Question, given: str) -> Answer | None:
    wanted = short(given, len(NOT_APPLICABLE)).casefold()
    if wanted == NOT_APPLICABLE:
        return Answer(question.key, None, True)
    points = _points(question).get(wanted)
    return None if points is None else Answer(question.key, points)


def _words(question: Question, answer: Answer) -> str:
    return next(
        (words for words, points in _points(question).items() if points == answer.points), NOT_APPLICABLE
    )
