"""Weeks and their names, compared with the calendar of the standard library."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.review.week import Week

DAYS = st.dates(date(1971, 1, 1), date(9989, 12, 31))


@pytest.mark.parametrize(
    ("day", "name"),
    [("2026-11-30", "2026-W49"), ("2026-11-29", "2026-W48"), ("2027-01-01", "2026-W53"), ("2018-12-31", "2019-W01")],
)  # fmt: skip
def test_week_of_a_day(day: str, name: str) -> None:
    assert str(Week.of(date.fromisoformat(day))) == name


@given(DAYS)
def test_name_is_read_back(day: date) -> None:
    week = Week.of(day)
    assert Week.parse(str(week)) == week
    assert week.monday <= day <= week.sunday
    assert week.before.after == week and week.sunday + timedelta(days=1) == week.after.monday


@given(st.text(max_size=10) | st.from_regex(r"\d{4}-W\d{2}", fullmatch=True))
def test_other_text_is_no_week(text: str) -> None:
    try:
        week = Week.parse(text)
    except ValueError:
        return
    assert str(week) == text
