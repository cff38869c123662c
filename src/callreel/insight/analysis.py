"""The analysis of a call by a language model: its items, each with the turns that it came from, and what people decided.

An analysis is one revision: what one run of a model found. Each later run makes another one. What a person wrote or decided
stays in force; `displayed` says which items of all revisions are shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from callreel.domain.call import Role

_NEVER: Final = datetime.min.replace(tzinfo=UTC)
LONGEST_TEXT: Final = 2_000
"""Characters of an item's text."""
LONGEST_DUE: Final = 100
"""Characters of an action item's due date, as it was spoken."""


class Sentiment(StrEnum):
    """How a party sounds."""

    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"


class ItemKind(StrEnum):
    """`ACTION` is something that a party promised or has to do. `LABEL` suggests a label of the team's list. `SENTIMENT` is a
    place of the call from which on a party sounds so; all of them are the party's course over the call.
    """

    SUMMARY = "summary"
    REASON = "reason"
    OUTCOME = "outcome"
    ACTION = "action"
    LABEL = "label"
    SENTIMENT = "sentiment"


SINGLE: Final = (ItemKind.SUMMARY, ItemKind.REASON, ItemKind.OUTCOME)
"""A call has one of each of these."""


class ItemState(StrEnum):
    """`SUGGESTED` is the model's alone; a person made it `APPROVED` or `REJECTED`."""

    SUGGESTED = "suggested"
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Citation:
    """A turn that an item came from; `role` as recorded, positions in milliseconds on the call's clock."""

    role: Role
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Content:
    """The text of an item. `role` is the owner of an action item, or the party with the `sentiment`, as recorded; `due` is the
    date as spoken.
    """

    text: str = field(repr=False)
    role: Role | None = None
    due: str = field(default="", repr=False)
    sentiment: Sentiment | None = None


@dataclass(frozen=True, slots=True)
class FoundItem:
    """What a model found. `label_id` is that of a suggested label, else None."""

    kind: ItemKind
    content: Content
    citations: tuple[Citation, ...]
    label_id: int | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """An item of an analysis. `made` is the model's text, None where it may not be shown any more; `written` is a person's, which counts.

    `by` decided at `at`. `number` is the revision that the item belongs to.
    """

    id: int
    number: int
    kind: ItemKind
    made: Content | None
    written: Content | None
    citations: tuple[Citation, ...]
    label_id: int | None
    state: ItemState
    by: str | None = None
    at: datetime | None = None

    @property
    def content(self) -> Content | None:
        """The text that is shown; None if nothing is left of it."""
        return self.written or self.made


def displayed(items: Sequence[Item], newest: int) -> list[Item]:
    """The items that are shown, of all revisions of a call: what people approved, and the suggestions of the newest one.

    `newest` is its number: a revision may have no items.

    A suggestion is left out where a person approved another text of a `SINGLE` kind, or decided on the same text before.
    Rejected items of the newest revision are shown too, so that a person can take the decision back.
    """
    shown: list[Item] = []
    for kind in ItemKind:
        mine = [item for item in items if item.kind is kind and item.content is not None]
        approved = [item for item in mine if item.state is ItemState.APPROVED]
        decided = {_said(item) for item in mine if item.state is not ItemState.SUGGESTED}
        if kind in SINGLE:
            approved = sorted(approved, key=lambda item: (item.at or _NEVER, item.id))[-1:]
        undecided = [
            item
            for item in mine
            if item.number == newest and item.state is ItemState.SUGGESTED and _said(item) not in decided
        ]
        rejected = [item for item in mine if item.number == newest and item.state is ItemState.REJECTED]
        listed = approved if kind in SINGLE and approved else [*approved, *undecided, *rejected]
        if kind is ItemKind.SENTIMENT:
            listed.sort(key=lambda item: item.citations[0].start_ms)
        shown += listed
    return shown


def _said(item: Item) -> str:
    """What makes two suggestions the same: the label, the party and the place of a sentiment, or the model's words."""
    if item.label_id is not None:
        return str(item.label_id)
    if item.kind is ItemKind.SENTIMENT:
        first = item.citations[0]
        return f"{first.role} {first.start_ms}"
    content = item.made or item.content
    return " ".join(content.text.casefold().split()) if content else ""
