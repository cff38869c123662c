"""Questions to a language model: a template of the package, then the data as JSON. The templates are files in `templates`.

The transcript is data. It has a message of its own, as numbered turns in JSON, so that what was said cannot end the data
and continue as an instruction; the template says so too. That lowers the risk that a model follows a caller's words; what
limits the damage is that the model has no tools and that its answer is checked (`insight/analysis.py`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from callreel.domain.transcript import Turn

CALL: Final = "call-1"
"""The template for a transcript, by its file's name. Its text never changes: another one gets another number."""
MERGE: Final = "merge-1"
"""The template that makes one answer out of those about the parts of a long call."""
PIECE_CHARS: Final = 24_000
"""Characters of the text in one request, about 6,000 tokens: models on a computer of one's own are often limited to 8,000."""

Message = Mapping[str, str]


def about_call(template: str, turns: Sequence[tuple[int, Turn]], labels: Iterable[str]) -> list[Message]:
    """The messages for numbered turns, which have the displayed roles."""
    said = [{"turn": number, "party": turn.role.value, "text": turn.text} for number, turn in turns]
    return _messages(template, {"labels": sorted(labels), "transcript": said})


def about_parts(template: str, answers: Sequence[Mapping[str, Any]], labels: Iterable[str]) -> list[Message]:
    """The messages for the checked answers about the parts of one call, in their order."""
    return _messages(template, {"labels": sorted(labels), "parts": list(answers)})


def pieces(turns: Sequence[Turn], longest: int = PIECE_CHARS) -> list[list[tuple[int, Turn]]]:
    """The turns with their numbers from 1, in pieces of at most `longest` characters; a longer turn is one of its own."""
    made: list[list[tuple[int, Turn]]] = []
    room = 0
    for number, turn in enumerate(turns, start=1):
        if not made or len(turn.text) > room:
            made.append([])
            room = longest
        made[-1].append((number, turn))
        room -= len(turn.text)
    return made


def _messages(template: str, data: Mapping[str, Any]) -> list[Message]:
    return [
        {"role": "system", "content": template},
        {"role": "user", "content": json.dumps(data, ensure_ascii=False)},
    ]
