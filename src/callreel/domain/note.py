"""What people write beside a call: a mark at a moment, or a note with words."""

from enum import StrEnum
from typing import Final

LONGEST_NOTE: Final = 4000
"""Characters."""


class NoteKind(StrEnum):
    """A `MARK` says "look here" and may be without words; a `NOTE` has words."""

    MARK = "mark"
    NOTE = "note"
