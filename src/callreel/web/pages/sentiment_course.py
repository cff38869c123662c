"""How each party sounded over a call, as a line for each: up is positive, down is negative. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

WIDTH: Final = 1_000
"""Of the drawing."""
_HEIGHTS: Final = {"positive": 4, "neutral": 12, "negative": 20}
"""Places of the line, from the top, of 24."""


@dataclass(frozen=True, slots=True)
class Course:
    """The line of one party, and the same in words."""

    role: str
    path: str
    words: str


def sentiment_course(call: Any) -> Sequence[Course]:
    """The courses of the parties of a call's summary, without items that a person rejected; none without any."""
    items = call["analysis"]["items"] if call["analysis"] else []
    points = [item for item in items if item["kind"] == "sentiment" and item["state"] != "rejected"]
    length_ms = max([turn["end_ms"] for turn in call["turns"] + call["live_turns"]], default=0)
    made = []
    for role in ("agent", "technician"):
        mine = [(one["turns"][0]["start_ms"], one["sentiment"]) for one in points if one["role"] == role]
        if mine and length_ms:
            first, *later = [
                (min(WIDTH, round(WIDTH * start_ms / length_ms)), _HEIGHTS[kind]) for start_ms, kind in mine
            ]
            line = f"M{first[0]} {first[1]}" + "".join(f"H{x}V{y}" for x, y in later) + f"H{WIDTH}"
            words = [kind for _, kind in mine]
            changes = [kind for at, kind in enumerate(words) if not at or kind != words[at - 1]]
            made.append(Course(role, line, ", then ".join(changes)))
    return made
