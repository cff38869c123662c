"""Times as the carrier writes them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.twilio.timestamps import iso8601, read_moment, rfc2822

MOMENTS = st.datetimes(
    min_value=datetime(1990, 1, 1), max_value=datetime(2090, 1, 1), timezones=st.just(UTC)
).map(lambda moment: moment.replace(microsecond=0))


def test_carrier_time_formats_are_parsed() -> None:
    moment = datetime(2026, 3, 24, 18, 15, 40, 250000, tzinfo=UTC)
    assert rfc2822(moment) == "Tue, 24 Mar 2026 18:15:40 +0000"
    assert iso8601(moment) == "2026-03-24T18:15:40.250Z"


@pytest.mark.parametrize("text", [None, "", "soon", "2026-13-45", "Tue, 99 Mar 2026 18:15:40 +0000", "0"])
def test_no_time_is_none(text: str | None) -> None:
    assert read_moment(text) is None


def test_other_zones_become_utc_and_no_zone_means_utc() -> None:
    assert read_moment("Tue, 24 Mar 2026 18:15:40 +0200") == datetime(2026, 3, 24, 16, 15, 40, tzinfo=UTC)
    assert read_moment("2026-03-24T18:15:40") == datetime(2026, 3, 24, 18, 15, 40, tzinfo=UTC)


@given(MOMENTS)
def test_round_trip(moment: datetime) -> None:
    local = moment.astimezone(timezone(timedelta(hours=-7)))
    assert read_moment(rfc2822(local)) == moment
    assert read_moment(iso8601(local)) == moment


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    moment = read_moment(text)
    assert moment is None or moment.tzinfo is UTC
