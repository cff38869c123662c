"""What people know of recordings in files: a CSV or JSON file with one row or object for each recording.

Columns: `file` (required), `started_at`, `agent`, `number`, `direction`, `agent_channel`, `party`. The file comes from
outside: an unreadable one is refused as a whole, a wrong row for itself.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final

from callreel.domain.call import Direction, Role
from callreel.domain.caller import WITHHELD, caller_number
from callreel.domain.errors import CallreelError
from callreel.store.db.types import storable_text
from callreel.twilio.dial_policy import DialPolicy

COLUMNS: Final = ("file", "started_at", "agent", "number", "direction", "agent_channel", "party")
LARGEST_BYTES: Final = 64 << 20
_LONGEST_NAME: Final = 200
_FIRST_YEAR: Final = 1900
"""Earlier times are what programs write for none, such as 0001-01-01, and cannot be shown in every time zone."""


class MetadataError(CallreelError):
    """A metadata file, or one of its rows, cannot be used."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for recordings of which the metadata says nothing.

    `zone` is that of times without an offset, `region` that of numbers without a country code.
    """

    zone: tzinfo
    region: str | None = None
    agent: str = "unknown"
    direction: Direction = Direction.OUTGOING


@dataclass(frozen=True, slots=True)
class Metadata:
    """One recording. `started_at` None is unknown; `agent_channel` and `party` None are not given.

    `party` is the only party on a recording of one channel.
    """

    file: str
    started_at: datetime | None
    agent: str
    number: str = field(repr=False)
    direction: Direction
    agent_channel: int | None = None
    party: Role | None = None


def read_rows(path: Path) -> list[Mapping[str, str]]:
    """The rows of a metadata file as text. Raises MetadataError."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise MetadataError(f"{path.name} is larger than {LARGEST_BYTES >> 20} MiB")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise MetadataError(f"{path.name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MetadataError(f"{path.name} is not UTF-8 text") from None
    if path.suffix.lower() == ".json":
        return _of_json(path.name, text)
    if path.suffix.lower() == ".csv":
        return _of_csv(path.name, text)
    raise MetadataError(f"expected metadata as .csv or .json, got {path.name}")


def read_row(row: Mapping[str, str], defaults: Defaults) -> Metadata:
    """One row. Raises MetadataError with what is wrong; the message has no number."""
    return Metadata(
        file=row.get("file", ""),
        started_at=_moment(row.get("started_at", ""), defaults.zone),
        agent=_name(row.get("agent", "")) or defaults.agent,
        number=_number(row.get("number", ""), defaults.region),
        direction=_direction(row.get("direction", "")) or defaults.direction,
        agent_channel=_channel(row.get("agent_channel", "")),
        party=_party(row.get("party", "")),
    )


def _of_json(name: str, text: str) -> list[Mapping[str, str]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise MetadataError(f"{name} is not JSON") from None
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        raise MetadataError(f"expected a list of objects in {name}")
    for row in document:
        _check_columns(name, list(row))
        if not all(isinstance(value, str | int | None) for value in row.values()):
            raise MetadataError(f"expected text as the values in {name}")
    return [
        {key: "" if value is None else str(value).strip() for key, value in row.items()} for row in document
    ]


def _of_csv(name: str, text: str) -> list[Mapping[str, str]]:
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        _check_columns(name, reader.fieldnames or ())
        rows = list(reader)
    except csv.Error as error:
        raise MetadataError(f"{name} is not CSV: {error}") from None
    for number, row in enumerate(rows, 2):
        if None in row:
            raise MetadataError(f"row {number} of {name} has more values than there are columns")
    return [{key: (value or "").strip() for key, value in row.items()} for row in rows]


def _check_columns(name: str, found: Sequence[str]) -> None:
    unknown = [column for column in found if column not in COLUMNS]
    if unknown:
        raise MetadataError(f"unknown column {unknown[0][:40]!r} in {name}; known: {', '.join(COLUMNS)}")
    if "file" not in found:
        raise MetadataError(f"{name} has no column 'file'")


def _moment(text: str, zone: tzinfo) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        found = found if found.tzinfo else found.replace(tzinfo=zone)
        found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise MetadataError(f"expected started_at as 2026-11-21T14:03:00+01:00, got {text[:40]!r}") from None
    if found.year < _FIRST_YEAR:
        raise MetadataError(f"started_at is before {_FIRST_YEAR}: {text[:40]!r}")
    return found


def _name(text: str) -> str:
    if len(text) > _LONGEST_NAME or storable_text(text) != text or not text.isprintable():
        raise MetadataError(f"expected agent as a name of at most {_LONGEST_NAME} characters")
    return text


def _number(text: str, region: str | None) -> str:
    if not text or caller_number(text) == WITHHELD:
        return WITHHELD
    found = DialPolicy(frozenset(), default_region=region).e164(text)
    if not found:
        raise MetadataError("number is not a phone number; write it with the country code, as +12025550123")
    return found


def _direction(text: str) -> Direction | None:
    if text in ("", *Direction):
        return Direction(text) if text else None
    raise MetadataError(f"expected direction as {' or '.join(Direction)}, got {text[:40]!r}")


def _channel(text: str) -> int | None:
    if text in ("", "1", "2"):
        return int(text) if text else None
    raise MetadataError(f"expected agent_channel as 1 or 2, got {text[:40]!r}")


def _party(text: str) -> Role | None:
    if text in ("", *Role):
        return Role(text) if text else None
    raise MetadataError(f"expected party as {' or '.join(Role)}, got {text[:40]!r}")
