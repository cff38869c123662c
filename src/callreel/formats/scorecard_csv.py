"""Results of scorecards as CSV (RFC 4180), one row for each answer, for spreadsheets. Names and questions are guarded."""

import csv
from collections.abc import Iterable, Sequence

from callreel.formats.transcript_csv import Lines, guarded


def scorecard_csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The whole file, with a header row."""
    lines = Lines()
    written = csv.writer(lines)
    written.writerow(columns)
    written.writerows([guarded(cell) for cell in row] for row in rows)
    return "".join(lines.written)
