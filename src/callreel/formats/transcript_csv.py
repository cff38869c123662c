"""A transcript as CSV (RFC 4180), a line a turn, for spreadsheets.

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, also with their full-width forms and behind
characters that are not shown. What was said comes from outside, so such a text gets an apostrophe before it, which
spreadsheets show as text (OWASP, CSV injection).
"""

import csv
import unicodedata
from collections.abc import Iterable, Mapping

from callreel.domain.call import Role
from callreel.domain.transcript import Turn

COLUMNS = ("start_ms", "end_ms", "role", "name", "text", "confidence")
BYTE_ORDER_MARK = "\ufeff"
_FORMULA = frozenset("=+-@|%")


def transcript_csv(turns: Iterable[Turn], names: Mapping[Role, str], *, byte_order_mark: bool = False) -> str:
    """The whole file, with a head line. `names` are what the parties are called.

    Without `byte_order_mark` Excel takes the file for its country's old encoding; most programs need none.
    """
    lines = _Lines()
    rows = csv.writer(lines)
    rows.writerow(COLUMNS)
    for turn in turns:
        confidence = "" if turn.confidence is None else round(turn.confidence, 3)
        text = _guarded(" ".join(turn.text.split()))
        rows.writerow(
            [turn.start_ms, turn.end_ms, turn.role.value, _guarded(names[turn.role]), text, confidence]
        )
    return (BYTE_ORDER_MARK if byte_order_mark else "") + "".join(lines.written)


class _Lines:
    """The file that the csv module writes to."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, text: str) -> None:
        self.written.append(text)


def _guarded(cell: str) -> str:
    return f"'{cell}" if _begins_formula(cell) else cell


def _begins_formula(cell: str) -> bool:
    for letter in cell:
        # Not shown: spaces, controls, and format characters such as the zero-width ones.
        if letter.isspace() or unicodedata.category(letter) in ("Cc", "Cf"):
            continue
        return unicodedata.normalize("NFKC", letter)[0] in _FORMULA
    return False
