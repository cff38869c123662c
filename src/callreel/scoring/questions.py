"""The questions of a scorecard, the form that a call is reviewed with. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

MOST_QUESTIONS: Final = 40
"""Of a scorecard."""
LONGEST_QUESTION: Final = 300
"""Characters."""
LONGEST_TITLE: Final = 100
"""Characters of a scorecard's name."""


class QuestionKind(StrEnum):
    """`YES_NO` gives all points or none, `SCALE` as many as its reviewer chooses, `TEXT` none: it asks for words."""

    YES_NO = "yes_no"
    SCALE = "scale"
    TEXT = "text"


POINTS: Final = {QuestionKind.YES_NO: (1, 100), QuestionKind.SCALE: (2, 10), QuestionKind.TEXT: (0, 0)}
"""The fewest and the most points that a question of each kind can give."""


@dataclass(frozen=True, slots=True)
class Question:
    """`key` identifies the question in all versions of its scorecard; 0 until it has one.

    `points` are the most that it gives: of a scale the choices are 0 to `points`. A `critical` question that is answered
    with no makes the score of the whole review 0 %.
    """

    key: int
    text: str = field(repr=False)
    kind: QuestionKind
    points: int = 0
    critical: bool = False


def checked_title(name: str) -> str:
    """The name of a scorecard with single spaces. Raises ValueError."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= LONGEST_TITLE:
        raise ValueError(f"a scorecard's name has 1 to {LONGEST_TITLE} characters, got {len(name)}")
    return name


def next_questions(
    before: Sequence[Question], last_key: int, wanted: Sequence[Question]
) -> tuple[tuple[Question, ...], int]:
    """The questions of the next version with their keys, and the greatest key so far.

    A question keeps the key of the one `before` that it names if its kind is the same: the points of both can be compared.
    Any other gets a key that was never used. Raises ValueError.
    """
    if not 1 <= len(wanted) <= MOST_QUESTIONS:
        raise ValueError(f"a scorecard has 1 to {MOST_QUESTIONS} questions, got {len(wanted)}")
    kinds = {question.key: question.kind for question in before}
    found: list[Question] = []
    for number, question in enumerate(wanted, 1):
        checked = _checked(question, number)
        if kinds.pop(question.key, None) is not question.kind:  # each key is kept once
            last_key += 1
            checked = replace(checked, key=last_key)
        found.append(checked)
    if all(question.kind is QuestionKind.TEXT for question in found):
        raise ValueError("a scorecard needs a question that gives points: yes or no, or a scale")
    return tuple(found), last_key


def _checked(question: Question, number: int) -> Question:
    text = " ".join(question.text.split())
    if not 1 <= len(text) <= LONGEST_QUESTION:
        raise ValueError(f"question {number} has 1 to {LONGEST_QUESTION} characters, got {len(text)}")
    fewest, most = POINTS[question.kind]
    if not fewest <= question.points <= most:
        allowed = f"{fewest} to {most} points" if most else "no points"
        raise ValueError(f"question {number} gives {allowed}, got {question.points}")
    if question.critical and question.kind is not QuestionKind.YES_NO:
        raise ValueError(f"question {number} cannot be critical: only yes-or-no questions can")
    return replace(question, text=text)
