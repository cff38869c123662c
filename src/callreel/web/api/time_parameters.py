"""Times in query parameters: a time, or a date that counts as the whole day. Pure."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from callreel.domain.ids import CallId
from callreel.runtime.time_zones import time_zone
from callreel.store.calls.call_list import Position
from callreel.web.errors import InvalidError


def position_of(given: str | None) -> Position | None:
    """A place in the list of calls: a time, or the `next_before` of an answer. Raises InvalidError."""
    moment, _, place = (given or "").partition("~")
    call_id, _, value = place.partition("~")
    found = start_of(moment)
    try:
        return None if found is None else Position(found, CallId(call_id), float(value) if value else None)
    except ValueError:
        raise InvalidError("a place in a list is the next_before of an answer") from None


def zone_of(name: str) -> tzinfo:
    """The zone of an IANA name. Raises InvalidError."""
    try:
        return time_zone(name)
    except ValueError:
        raise InvalidError("a zone is a name such as Europe/Berlin") from None


def start_of(text: str | None, zone: tzinfo = UTC) -> datetime | None:
    """A time as it is, a date from its first moment in `zone`; in UTC. Raises InvalidError."""
    found = _parse(text)
    return found if found is None or isinstance(found, datetime) else _midnight(found, zone)


def end_of(text: str | None, zone: tzinfo = UTC) -> datetime | None:
    """A time as it is, a date to the end of its day in `zone`; in UTC. Raises InvalidError."""
    found = _parse(text)
    if found is None or isinstance(found, datetime):
        return found
    return _midnight(found + timedelta(days=1), zone) if found < date.max else _midnight(found, zone)


def _midnight(day: date, zone: tzinfo) -> datetime:
    try:
        return datetime.combine(day, time(), zone).astimezone(UTC)
    except OverflowError:  # the first and last representable days, east or west of Greenwich
        return datetime.combine(day, time(), UTC)


def _parse(text: str | None) -> datetime | date | None:
    if not text:
        return None
    try:
        if len(text) == 10:
            return date.fromisoformat(text)
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidError("a time looks like 2026-11-22 or 2026-11-22T12:00:00Z") from None
