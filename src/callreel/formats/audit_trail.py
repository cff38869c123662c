"""The audit trail as CSV, one row an entry, and as JSON. Both have all that a check of the chain needs."""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields

from callreel.domain.audit import AuditEntry
from callreel.domain.events import Json
from callreel.formats.transcript_csv import guarded

COLUMNS = tuple(field.name for field in fields(AuditEntry))


class _Line:
    """The file that the csv module writes to."""

    text = ""

    def write(self, text: str) -> None:
        self.text = text


def entry_json(entry: AuditEntry) -> dict[str, Json]:
    """An entry as JSON; its time has the microseconds that the digest covers."""
    return {**asdict(entry), "at": entry.at.isoformat(timespec="microseconds")}


def trail_json(entries: Iterable[AuditEntry]) -> Iterator[str]:
    """One document, one entry per line."""
    yield '{"entries": ['
    separator = "\n"
    for entry in entries:
        yield separator + json.dumps(entry_json(entry), ensure_ascii=False)
        separator = ",\n"
    yield "\n]}\n"


def trail_csv(entries: Iterable[AuditEntry]) -> Iterator[str]:
    """A header row, then one row per entry; the details are JSON."""
    line = _Line()
    rows = csv.writer(line)
    rows.writerow(COLUMNS)
    yield line.text
    for entry in entries:
        cells = {**entry_json(entry), "details": json.dumps(entry.details, ensure_ascii=False)}
        rows.writerow([guarded(str(cells[name] if cells[name] is not None else "")) for name in COLUMNS])
        yield line.text
