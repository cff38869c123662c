"""People's annotations of a call: a mark at a position, or a note with text."""

from enum import StrEnum
from typing import Final

LONGEST_NOTE: Final = 4000
"""Characters."""
MOST_NOTES: Final = 1000
"""Marks and notes of one call: its page shows them all."""


class NoteKind(StrEnum):
    """A `MARK` highlights a position, and its text may be empty; a `NOTE` has a text."""

    MARK = "mark"
    NOTE = "note"
