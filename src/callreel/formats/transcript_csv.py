"""A transcript as CSV (RFC 4180), a line a turn, for spreadsheets.

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, and what was said comes from outside:
such a text gets an apostrophe before it, which spreadsheets show as text (OWASP, CSV injection).
"""

import csv
from collections.abc import Iterable, Mapping

from callreel.domain.call import Role
from callreel.domain.transcript import Turn

COLUMNS = ("start_ms", "end_ms", "role", "name", "text", "confidence")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def transcript_csv(turns: Iterable[Turn], names: Mapping[Role, str]) -> str:
    """The whole file, with a head line. `names` are what the parties are called."""
    lines = _Lines()
    rows = csv.writer(lines)
    rows.writerow(COLUMNS)
    for turn in turns:
        sure = "" if turn.confidence is None else round(turn.confidence, 3)
        said = _as_text(" ".join(turn.text.split()))
        rows.writerow([turn.start_ms, turn.end_ms, turn.role.value, _as_text(names[turn.role]), said, sure])
    return "".join(lines.written)


class _Lines:
    """What the csv module writes to."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, text: str) -> None:
        self.written.append(text)


def _as_text(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
