"""A team's own instructions for the analysis of calls with a label, such as what the summary of a complaint must contain. Pure.

They have versions: a change adds one, and the greatest number is in force. A version without text has no effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

LONGEST_INSTRUCTIONS: Final = 2_000
"""Characters of a version."""
MOST_LABELS_USED: Final = 5
"""Labels of one call whose instructions are sent, the first by name."""


@dataclass(frozen=True, slots=True)
class UsedInstructions:
    """Which version was sent, with the name that the label had then."""

    label_id: int
    label: str
    version: int


@dataclass(frozen=True, slots=True)
class Instructions:
    """The version of a label that is in force."""

    used: UsedInstructions
    text: str = field(repr=False)


def with_instructions(template: str, given: Sequence[Instructions]) -> str:
    """The template, followed by the instructions. They are the team's own, so they belong to what instructs the model."""
    added = [f'Calls with the label "{one.used.label}":\n{one.text}' for one in given]
    if not added:
        return template
    head = (
        "The team has instructions of its own for this call. They say what the texts must contain. The form of the answer, the"
        " rule that each statement needs its turns, and the rule about the user message stay as above."
    )
    return "\n\n".join([template.rstrip(), head, *added])
