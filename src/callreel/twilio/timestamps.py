"""A point in time as the carrier writes it: RFC 2822 in callbacks and REST, ISO 8601 in stream callbacks."""

from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime


def read_moment(text: str | None) -> datetime | None:
    """The time in UTC, or None for missing or invalid text. A time without a zone is interpreted as UTC."""
    if not text:
        return None
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(text)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None


def rfc2822(moment: datetime) -> str:
    """For example `Tue, 24 Mar 2026 18:15:40 +0000`; whole seconds."""
    return format_datetime(moment.astimezone(UTC))


def iso8601(moment: datetime) -> str:
    """For example `2026-03-24T18:15:40.250Z`; whole milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
