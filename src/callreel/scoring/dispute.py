"""The states of a review, from the draft to the end of a dispute. Pure."""

from enum import StrEnum
from typing import Final


class ReviewState(StrEnum):
    """A `DRAFT` is its author's alone. The agent disputes a `FINISHED` review once; a supervisor upholds or changes it."""

    DRAFT = "draft"
    FINISHED = "finished"
    DISPUTED = "disputed"
    UPHELD = "upheld"
    CHANGED = "changed"


class Step(StrEnum):
    """What is done to a review."""

    SAVE = "save"
    FINISH = "finish"
    DISPUTE = "dispute"
    UPHOLD = "uphold"
    CHANGE = "change"


_AFTER: Final = {
    (ReviewState.DRAFT, Step.SAVE): ReviewState.DRAFT,
    (ReviewState.DRAFT, Step.FINISH): ReviewState.FINISHED,
    (ReviewState.FINISHED, Step.DISPUTE): ReviewState.DISPUTED,
    (ReviewState.DISPUTED, Step.UPHOLD): ReviewState.UPHELD,
    (ReviewState.DISPUTED, Step.CHANGE): ReviewState.CHANGED,
}


def after(state: ReviewState, step: Step) -> ReviewState | None:
    """The state after a step; None if it is not possible in this state."""
    return _AFTER.get((state, step))
