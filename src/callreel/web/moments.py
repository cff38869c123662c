"""Times as they are asked for in addresses: a time, or a date that counts whole. Pure."""

from datetime import UTC, date, datetime, timedelta

from fastapi import HTTPException


def aware(moment: datetime | None) -> datetime | None:
    """A time without a zone is UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def begin_of(asked: str | None) -> datetime | None:
    """A time as it is, a date from its first moment, in UTC. Raises 422."""
    found = _read(asked)
    return found[0] if found else None


def end_of(asked: str | None) -> datetime | None:
    """What comes before: a time as it is, a date to its end, in UTC. Raises 422."""
    found = _read(asked)
    if found is None:
        return None
    moment, whole_day = found
    try:
        return moment + timedelta(days=1) if whole_day else moment
    except OverflowError:
        return moment


def _read(asked: str | None) -> tuple[datetime, bool] | None:
    if not asked:
        return None
    try:
        if len(asked) == 10:
            day = date.fromisoformat(asked)
            return datetime(day.year, day.month, day.day, tzinfo=UTC), True
        moment = datetime.fromisoformat(asked)
        return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)), False
    except (ValueError, OverflowError):
        raise HTTPException(422, "A time is like 2026-11-22 or 2026-11-22T12:00:00Z.") from None
