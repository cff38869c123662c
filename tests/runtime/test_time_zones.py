"""Time zones by name, with and without a time zone database."""

from datetime import UTC, datetime, timedelta

import pytest

from callreel.runtime.time_zones import time_zone


def test_zone_is_found_by_its_name() -> None:
    assert time_zone("Europe/Berlin").utcoffset(datetime(2026, 7, 1)) == timedelta(hours=2)


def test_utc_needs_no_time_zone_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callreel.runtime.time_zones.ZoneInfo", lambda _: pytest.fail("read the database"))
    assert time_zone("UTC") is UTC


@pytest.mark.parametrize("name", ["Mars", "", "/etc/passwd", "../UTC", "Europe", "a\0b", "x" * 5_000])
def test_name_that_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="there is no time zone"):
        time_zone(name)
