"""Suggested answers to a scorecard: only possible answers with a real turn are kept."""

from typing import Any

from callreel.insight.scorecard import (
    LONGEST_REASON,
    SuggestedAnswers,
    Suggestion,
    as_data,
    as_parts,
    checked_suggestions,
    suggestible,
)
from callreel.scoring.questions import Question, QuestionKind
from callreel.scoring.score import Answer

QUESTIONS = (
    Question(1, "Greeted?", QuestionKind.YES_NO, 5),
    Question(2, "Empathy", QuestionKind.SCALE, 2),
    Question(4, "What to do better?", QuestionKind.TEXT),
)


def given(question: int, answer: str, *turns: int, reason: str = "Because.") -> dict[str, Any]:
    return {"question": question, "answer": answer, "reason": reason, "turns": list(turns)}


def kept(*answers: dict[str, Any]) -> tuple[list[Suggestion], int]:
    reply = SuggestedAnswers.model_validate({"answers": answers})
    return checked_suggestions(reply, suggestible(QUESTIONS), {1, 2, 3})


def test_possible_answers_with_a_real_turn_are_kept() -> None:
    found, dropped = kept(given(2, " 1 ", 3, 99, 2), given(1, "Yes", 1), given(1, "no", 2))
    assert found == [
        Suggestion(Answer(1, 5), "Because.", (1,)),
        Suggestion(Answer(2, 1), "Because.", (2, 3)),
    ]
    assert dropped == 1
    assert kept(given(1, "not applicable", 1))[0] == [Suggestion(Answer(1, None, True), "Because.", (1,))]
    assert as_parts(found, QUESTIONS) == [given(1, "yes", 1), given(2, "1", 2, 3)]
    assert [one["answers"] for one in as_data(suggestible(QUESTIONS))] == [
        ["yes", "no", "not applicable"],
        ["0", "1", "2", "not applicable"],
    ]


def test_other_answers_are_dropped_and_counted() -> None:
    wrong = [
        given(1, "yes"), given(1, "yes", 0, 4), given(1, "maybe", 1), given(1, "5", 1), given(2, "3", 1), given(2, "-1", 1),
        given(2, "yes", 1), given(4, "Be kind.", 1), given(9, "yes", 1), given(1, "yes", 1, reason=" "),
        given(1, "yes", 1, reason="x" * (LONGEST_REASON + 1)), given(2, "1" * 9_999, 1),
    ]  # fmt: skip
    assert kept(*wrong) == ([], len(wrong))
