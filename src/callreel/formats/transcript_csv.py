"""A transcript as CSV (RFC 4180), one row per turn, for spreadsheets.

A spreadsheet evaluates a cell that begins with `=`, `+`, `-` or `@` as a formula, also with their full-width forms and
after invisible characters. A transcript is untrusted text, so such a cell gets a leading apostrophe, which makes
spreadsheets show it as text (OWASP, CSV injection).
"""

import csv
import unicodedata
from collections.abc import Iterable, Mapping

from callreel.domain.call import Role
from callreel.domain.transcript import Turn
from callreel.formats.paused import TEXT, Paused

COLUMNS = ("start_ms", "end_ms", "role", "name", "text", "confidence", "sentiment")
BYTE_ORDER_MARK = "\ufeff"
_FORMULA = frozenset("=+-@|%")


def transcript_csv(
    turns: Iterable[Turn],
    names: Mapping[Role, str],
    pauses: Iterable[Paused] = (),
    sentiments: Iterable[tuple[Role, int, str]] = (),
    *,
    byte_order_mark: bool = False,
) -> str:
    """The whole file, with a header row. `names` has the display name of each role. `sentiments` are how a party sounds from a
    position on, in the order of time; a turn before them has none.

    The rows of pauses have no role. Without `byte_order_mark` Excel assumes the legacy encoding of its locale; most programs need none.
    """
    lines = Lines()
    rows = csv.writer(lines)
    rows.writerow(COLUMNS)
    waiting = [*pauses]
    course = [*sentiments]
    for turn in turns:
        while waiting and waiting[0].start_ms < turn.start_ms:
            rows.writerow(_pause_row(waiting.pop(0)))
        confidence = "" if turn.confidence is None else round(turn.confidence, 3)
        text = guarded(" ".join(turn.text.split()))
        sounds = [kind for role, at_ms, kind in course if role is turn.role and at_ms <= turn.start_ms][-1:]
        who = [turn.role.value, guarded(names[turn.role])]
        rows.writerow([turn.start_ms, turn.end_ms, *who, text, confidence, *(sounds or [""])])
    rows.writerows(map(_pause_row, waiting))
    return (BYTE_ORDER_MARK if byte_order_mark else "") + "".join(lines.written)


def _pause_row(pause: Paused) -> list[object]:
    return [pause.start_ms, "" if pause.end_ms is None else pause.end_ms, "", "", TEXT, "", ""]


class Lines:
    """The file that the csv module writes to."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, text: str) -> None:
        self.written.append(text)


def guarded(cell: str) -> str:
    """A cell that no spreadsheet evaluates."""
    return f"'{cell}" if _begins_formula(cell) else cell


def _begins_formula(cell: str) -> bool:
    for letter in cell:
        # Skip invisible characters: spaces, controls, and format characters such as the zero-width ones.
        if letter.isspace() or unicodedata.category(letter) in ("Cc", "Cf"):
            continue
        return unicodedata.normalize("NFKC", letter)[0] in _FORMULA
    return False
