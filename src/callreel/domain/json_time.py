"""The form of times in JSON."""

from datetime import datetime


def json_time(moment: datetime | None) -> str | None:
    """ISO 8601 in milliseconds with the offset from UTC."""
    return None if moment is None else moment.isoformat(timespec="milliseconds")
