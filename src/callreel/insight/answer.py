"""The answer of a language model about a call: its schema, and what of it is kept.

The answer is not trusted. The transcript is somebody's speech, and may have instructed the model what to answer; so only values of
this schema are read, an item is kept only if it cites a turn that exists, a label only if the team has it, and text only if it
is short. Text is kept as plain characters; pages escape it.
"""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from callreel.domain.call import Role
from callreel.domain.errors import UnusableAnswerError
from callreel.domain.transcript import Turn
from callreel.insight.analysis import (
    LONGEST_DUE,
    LONGEST_TEXT,
    Citation,
    Content,
    FoundItem,
    ItemKind,
    Sentiment,
)

MOST_ACTIONS: Final = 30
MOST_POINTS: Final = 24
"""Changes of sentiment in one answer."""
MOST_CITED: Final = 8
"""Turns of one item; more are left out."""
_MOST_STARTS: Final = 50
"""Places of a text in which an object is looked for."""
_KEPT_FORMATS: Final = "\u200c\u200d"
"""Joiners that several scripts need."""

Numbers = Annotated[list[int], Field(description="Numbers of the turns that this comes from.")]


class Strict(BaseModel):
    """A part of an answer."""

    # More keys than asked for are ignored; the schema for the server has none.
    model_config = ConfigDict(extra="ignore", json_schema_extra={"additionalProperties": False})


class Statement(Strict):
    """A sentence or a few about the call."""

    text: str
    turns: Numbers


class Action(Strict):
    """What a party promised or has to do."""

    text: str
    owner: Literal["agent", "technician"] | None
    due: Annotated[str | None, Field(description="The date or time as it was spoken; null without one.")]
    turns: Numbers


class Topic(Strict):
    """A label of the list."""

    label: str
    turns: Numbers


class Point(Strict):
    """How a party sounds, from a turn of its own on."""

    party: Literal["agent", "technician"]
    sentiment: Literal["positive", "neutral", "negative"]
    text: Annotated[str, Field(description="What shows it, in a few words.")]
    turns: Numbers


class Merged(Strict):
    """What a model makes of the answers about the parts of a call."""

    summary: Statement
    reason: Statement | None
    outcome: Statement | None
    action_items: list[Action]
    labels: list[Topic]


class Answer(Merged):
    """All that a model is asked for about a call, or a part of one."""

    sentiment: list[Point]


Form = TypeVar("Form", bound=Strict)


@dataclass(frozen=True, slots=True)
class Checked:
    """What of an answer is kept, and how many of its items are `dropped`."""

    items: tuple[FoundItem, ...]
    dropped: int


def schema(form: type[Strict]) -> Mapping[str, Any]:
    """The JSON schema of an answer, for the server."""
    return form.model_json_schema()


def parse(text: str, form: type[Form]) -> Form:
    """The answer in `text`, which is JSON or contains it. Raises UnusableAnswerError without a word of the text."""
    wrong = "it contains no JSON object"
    for found in _objects(text):
        try:
            return form.model_validate(found)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            place = ".".join(str(part) for part in first["loc"] if part in form.model_fields)
            wrong = f"{place or 'an object'} has the wrong form ({first['type']})"
    raise UnusableAnswerError(f"the language model's answer cannot be used: {wrong}", retryable=True)


def check(answer: Merged, turns: Sequence[Turn], labels: Mapping[str, int]) -> Checked:
    """Keep the items that cite one of `turns`, numbered from 1. `labels` are the team's ids by name.

    The owner of an action item has the role of `turns`. A sentiment needs a turn of its party.
    """
    points = answer.sentiment if isinstance(answer, Answer) else []
    found: list[FoundItem | None] = [_statement(ItemKind.SUMMARY, answer.summary, turns)]
    for kind, given in ((ItemKind.REASON, answer.reason), (ItemKind.OUTCOME, answer.outcome)):
        if given is not None and given.text.strip():
            found.append(_statement(kind, given, turns))
    found += [_action(action, turns) for action in answer.action_items[:MOST_ACTIONS]]
    found += [_label(topic, turns, labels) for topic in answer.labels[: len(labels) + MOST_ACTIONS]]
    found += [_point(point, turns) for point in points[:MOST_POINTS]]
    kept: dict[tuple[ItemKind, str], FoundItem] = {}
    for item in found:
        if item is not None:
            kept.setdefault((item.kind, _same(item)), item)
    given_items = len(found) + max(0, len(answer.action_items) - MOST_ACTIONS)
    given_items += max(0, len(points) - MOST_POINTS)
    given_items += max(0, len(answer.labels) - len(labels) - MOST_ACTIONS)
    return Checked(tuple(kept.values()), given_items - len(kept))


def plain(text: str) -> str:
    """`text` on one line, without control characters and marks of direction, which could disguise other text."""
    spaced = "".join(
        character
        if character in _KEPT_FORMATS or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")
        else " "
        for character in text
    )
    return " ".join(spaced.split())


def _statement(kind: ItemKind, given: Statement, turns: Sequence[Turn]) -> FoundItem | None:
    text, cited = short(given.text), _cited(given.turns, turns)
    return FoundItem(kind, Content(text), cited) if text and cited else None


def _action(given: Action, turns: Sequence[Turn]) -> FoundItem | None:
    text, cited = short(given.text), _cited(given.turns, turns)
    due = short(given.due or "", LONGEST_DUE)
    owner = Role(given.owner) if given.owner else None
    return FoundItem(ItemKind.ACTION, Content(text, owner, due), cited) if text and cited else None


def _label(given: Topic, turns: Sequence[Turn], labels: Mapping[str, int]) -> FoundItem | None:
    wanted = short(given.label).casefold()
    name = next((name for name in labels if name.casefold() == wanted), None)
    cited = _cited(given.turns, turns)
    return FoundItem(ItemKind.LABEL, Content(name), cited, labels[name]) if name and cited else None


def _point(given: Point, turns: Sequence[Turn]) -> FoundItem | None:
    role = Role(given.party)
    cited = tuple(one for one in _cited(given.turns, turns) if one.role is role)
    text = short(given.text)
    return (
        FoundItem(ItemKind.SENTIMENT, Content(text, role, "", Sentiment(given.sentiment)), cited)
        if text and cited
        else None
    )


def _same(item: FoundItem) -> str:
    """What makes two items of a kind the same: their words, or party and place of a sentiment."""
    if item.kind is ItemKind.SENTIMENT:
        return f"{item.content.role} {item.citations[0].start_ms}"
    return item.content.text.casefold()


def short(text: str, longest: int = LONGEST_TEXT) -> str:
    """`text` on one line; empty if it is too long."""
    return plain(text) if len(text) <= longest else ""


def _cited(numbers: Sequence[int], turns: Sequence[Turn]) -> tuple[Citation, ...]:
    real = [number for number in dict.fromkeys(numbers) if 1 <= number <= len(turns)]
    cited = (turns[number - 1] for number in sorted(real[:MOST_CITED]))
    return tuple(Citation(turn.role, turn.start_ms, turn.end_ms) for turn in cited)


def _objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects in a text: all of it, or those between other words, such as a model's thoughts."""
    decoder, found, position = json.JSONDecoder(), list[dict[str, Any]](), 0
    for _ in range(_MOST_STARTS):
        position = text.find("{", position)
        if position < 0:
            break
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            position += 1
            continue
        found.append(value)
    return found
