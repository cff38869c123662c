"""Time zones by their IANA names."""

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo


def time_zone(name: str) -> tzinfo:
    """The zone of a name such as Europe/Berlin. Raises ValueError for a name that is none."""
    if name == "UTC":  # known even on a machine without a time zone database
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError; odd names give the others
        raise ValueError(f"there is no time zone {name[:40]!r}") from None
