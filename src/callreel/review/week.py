"""Weeks from Monday to Sunday, numbered as in ISO 8601. Pure."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

_NAME = re.compile(r"(\d{4})-W(\d{2})", re.ASCII)
FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 9990


@dataclass(frozen=True, slots=True, order=True)
class Week:
    """A week by its Monday; as text `2026-W48`."""

    monday: date

    @classmethod
    def of(cls, day: date) -> "Week":
        return cls(day - timedelta(days=day.weekday()))

    @classmethod
    def last_complete(cls, now: datetime, zone: tzinfo) -> "Week":
        """The last one that is over in `zone`."""
        return cls.of(now.astimezone(zone).date()).before

    @classmethod
    def parse(cls, text: str) -> "Week":
        """Raises ValueError."""
        found = _NAME.fullmatch(text)
        if found is None or not FIRST_YEAR <= int(found[1]) <= LAST_YEAR:
            raise ValueError("a week looks like 2026-W48")
        return cls(date.fromisocalendar(int(found[1]), int(found[2]), 1))

    @property
    def sunday(self) -> date:
        return self.monday + timedelta(days=6)

    @property
    def before(self) -> "Week":
        return Week(self.monday - timedelta(days=7))

    @property
    def after(self) -> "Week":
        return Week(self.monday + timedelta(days=7))

    def __str__(self) -> str:
        year, number, _ = self.monday.isocalendar()
        return f"{year:04}-W{number:02}"
