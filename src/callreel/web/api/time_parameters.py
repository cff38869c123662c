"""Times as they are asked for in addresses: a time, or a date that counts whole. Pure."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from fastapi import HTTPException


def aware(moment: datetime | None) -> datetime | None:
    """A time without a zone is UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def zone_of(name: str) -> tzinfo:
    """The zone of an IANA name. Raises 422."""
    # A machine without a database of zones knows this one all the same.
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError; odd names give the others
        raise HTTPException(422, "The zone is a name like Europe/Berlin.") from None


def begin_of(asked: str | None, zone: tzinfo = UTC) -> datetime | None:
    """A time as it is, a date from its first moment in `zone`; in UTC. Raises 422."""
    found = _read(asked)
    return found if found is None or isinstance(found, datetime) else _midnight(found, zone)


def end_of(asked: str | None, zone: tzinfo = UTC) -> datetime | None:
    """What comes before: a time as it is, a date to its end in `zone`; in UTC. Raises 422."""
    found = _read(asked)
    if found is None or isinstance(found, datetime):
        return found
    return _midnight(found + timedelta(days=1), zone) if found < date.max else _midnight(found, zone)


def _midnight(day: date, zone: tzinfo) -> datetime:
    try:
        return datetime.combine(day, time(), zone).astimezone(UTC)
    except OverflowError:  # the first and last days that there are, east or west of Greenwich
        return datetime.combine(day, time(), UTC)


def _read(asked: str | None) -> datetime | date | None:
    if not asked:
        return None
    try:
        if len(asked) == 10:
            return date.fromisoformat(asked)
        moment = datetime.fromisoformat(asked)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise HTTPException(422, "A time is like 2026-11-22 or 2026-11-22T12:00:00Z.") from None
