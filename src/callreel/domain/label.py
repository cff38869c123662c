"""Labels: a team's own names for kinds of calls, such as `complaint` or `follow up`. Pure."""

import re
from enum import StrEnum
from typing import Final

LONGEST_LABEL: Final = 40
"""Characters of a label's name."""
MOST_LABELS: Final = 100
"""Labels of a team."""

# A retention rule names a label: these characters have a meaning there.
_RESERVED: Final = re.compile(r"[;|=*?\[\]]")


class LabelColor(StrEnum):
    """The palette. A label is always shown with its name, so that color is never its only mark."""

    GRAY = "gray"
    RED = "red"
    ORANGE = "orange"
    YELLOW = "yellow"
    GREEN = "green"
    TEAL = "teal"
    BLUE = "blue"
    PURPLE = "purple"


def checked_name(name: str) -> str:
    """The name with single spaces. Raises ValueError."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= LONGEST_LABEL:
        raise ValueError(f"a label's name has 1 to {LONGEST_LABEL} characters, got {len(name)}")
    if _RESERVED.search(name):
        raise ValueError("a label's name cannot have any of ; | = * ? [ ]")
    return name
