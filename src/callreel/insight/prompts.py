"""Questions to a language model: a template of the package, then the data as JSON. The templates are files in `templates`.

The transcript is data. It has a message of its own, as numbered turns in JSON, so that what was said cannot end the data
and continue as an instruction; the template says so too. That lowers the risk that a model follows a caller's words; what
limits the damage is that the model has no tools and that its answer is checked (`insight/answer.py`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any, Final

from callreel.domain.transcript import Turn

CALL: Final = "call-2"
"""The template for a transcript, by its file's name. Its text never changes: another one gets another number."""
MERGE: Final = "merge-1"
"""The template that makes one answer out of those about the parts of a long call."""
QUESTION: Final = "question-1"
"""The template for a question about many calls."""
MERGE_ANSWERS: Final = "merge-answers-1"
"""The template that makes one answer out of those about parts of the calls."""
SCORECARD: Final = "scorecard-1"
"""The template for the questions of a scorecard."""
MERGE_SCORECARD: Final = "merge-scorecard-1"
"""The template that makes one answer to each question out of those about the parts of a long call."""
PIECE_CHARS: Final = 24_000
"""Characters of the text in one request, about 6,000 tokens: models on a computer of one's own are often limited to 8,000."""

Message = Mapping[str, str]


def about_call(template: str, turns: Sequence[tuple[int, Turn]], labels: Iterable[str]) -> list[Message]:
    """The messages for numbered turns, which have the displayed roles."""
    return _messages(template, {"labels": sorted(labels), "transcript": _said(turns)})


def about_parts(template: str, answers: Sequence[Mapping[str, Any]], labels: Iterable[str]) -> list[Message]:
    """The messages for the checked answers about the parts of one call, in their order."""
    return _messages(template, {"labels": sorted(labels), "parts": list(answers)})


def about_question(
    template: str, question: str, turns: Sequence[tuple[int, Turn]], call_of: Mapping[int, int]
) -> list[Message]:
    """The messages for a question about numbered turns; `call_of` has the number of each turn's call."""
    said: dict[int, list[dict[str, Any]]] = {}
    for number, turn in turns:
        one = {"turn": number, "party": turn.role.value, "text": turn.text}
        said.setdefault(call_of[number], []).append(one)
    listed = [{"call": call, "transcript": listed} for call, listed in said.items()]
    return _messages(template, {"question": question, "calls": listed})


def about_answers(template: str, question: str, sentences: Sequence[Mapping[str, Any]]) -> list[Message]:
    """The messages for the checked sentences about parts of the calls."""
    return _messages(template, {"question": question, "sentences": list(sentences)})


def about_scorecard(
    template: str, questions: Sequence[Mapping[str, Any]], turns: Sequence[tuple[int, Turn]]
) -> list[Message]:
    """The messages for questions about numbered turns of one call."""
    return _messages(template, {"questions": list(questions), "transcript": _said(turns)})


def about_scorecard_parts(
    template: str, questions: Sequence[Mapping[str, Any]], parts: Sequence[Sequence[Mapping[str, Any]]]
) -> list[Message]:
    """The messages for the checked answers about the parts of one call, in their order."""
    return _messages(template, {"questions": list(questions), "parts": [list(part) for part in parts]})


def template(name: str) -> str:
    """The text of a template."""
    return resources.files("callreel.insight").joinpath("templates", f"{name}.txt").read_text("utf-8")


def pieces(
    turns: Sequence[Turn], longest: int = PIECE_CHARS, *, each: int = 0
) -> list[list[tuple[int, Turn]]]:
    """The turns with their numbers from 1, in pieces of at most `longest` characters; a longer turn is one of its own.

    `each` is what a turn takes besides its text.
    """
    made: list[list[tuple[int, Turn]]] = []
    room = 0
    for number, turn in enumerate(turns, start=1):
        if not made or each + len(turn.text) > room:
            made.append([])
            room = longest
        made[-1].append((number, turn))
        room -= each + len(turn.text)
    return made


def _said(turns: Sequence[tuple[int, Turn]]) -> list[dict[str, Any]]:
    return [{"turn": number, "party": turn.role.value, "text": turn.text} for number, turn in turns]


def _messages(template: str, data: Mapping[str, Any]) -> list[Message]:
    return [
        {"role": "system", "content": template},
        {"role": "user", "content": json.dumps(data, ensure_ascii=False)},
    ]
