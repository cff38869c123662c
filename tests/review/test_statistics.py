"""The forecast of the month. Sums by day are tested in tests/web/test_api_review.py, beside the calls they sum."""

from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any

import pytest

from callreel.domain.call import CallState, Direction, Role
from callreel.domain.cost import Prices
from callreel.domain.ids import CallId, LegSid
from callreel.review.statistics import Figures, Group, day_figures
from callreel.store.calls import calls
from callreel.store.calls.calls import CallRow
from tests.support.installation import NOON, Installation, grounded


def a_call(installation: Installation, number: int, day: int) -> None:
    """A minute of a call at noon of a day in November, not answered: its browser leg costs."""
    at = NOON.replace(day=day)
    row = CallRow(
        CallId(f"{number:012}"),
        Direction.OUTGOING,
        "ada",
        "+15550100123",
        LegSid(f"CA{number:032}"),
        Role.AGENT,
        at,
    )
    with installation.database.write() as conn:
        calls.insert(conn, row)
        calls.set_state(conn, row.id, CallState.ENDED, at + timedelta(seconds=60))


def figures(installation: Installation, prices: Prices | None, **now: int) -> dict[str, Any]:
    with installation.database.read() as conn:
        today = NOON.replace(**now)  # type: ignore[arg-type]
        return dict(day_figures(conn, date(2026, 11, 1), date(2026, 11, 2), UTC, None, prices, today))


def test_month_is_projected_at_its_rate(tmp_path: Path) -> None:
    with grounded(tmp_path) as installation:
        for number, day in enumerate((1, 5, 10)):
            a_call(installation, number, day)
        report = figures(installation, Prices(), day=16, hour=0)
    assert report["month"] == "2026-11"
    assert report["month_cost"] == pytest.approx(0.012)
    assert report["month_forecast"] == pytest.approx(0.024)  # 15 of 30 days are over
    assert [day["calls"] for day in report["days"]] == [1, 0]


def test_trend_divides_a_period_into_parts_of_equal_length() -> None:
    group = Group(days=26)  # 9 parts: 2 days, then eight times 3
    silences: dict[int, list[int]] = {0: [2000], 2: [1000, 4000], 24: [], 25: [500]}
    for day, found in silences.items():
        for silence_ms in found:
            group.add(Figures(calls=1, measured=1, silence_ms=silence_ms), day)
        group.add(Figures(calls=1), day)
    trend: Any = group.as_json(priced=False)["trend"]
    assert trend["calls_a_day"] == [1.0, 1.0, 0, 0, 0, 0, 0, 0, 1.0]
    assert trend["silence_s_a_call"] == [2.0, 2.5, None, None, None, None, None, None, 0.5]
    assert group.sums.calls == 8


def test_forecast_assumes_at_least_one_day(tmp_path: Path) -> None:
    with grounded(tmp_path) as installation:
        a_call(installation, 1, 1)
        report = figures(installation, Prices(), day=1, hour=13)
    assert report["month_forecast"] == pytest.approx(30 * report["month_cost"])


def test_without_prices_there_is_no_cost(tmp_path: Path) -> None:
    with grounded(tmp_path) as installation:
        a_call(installation, 1, 1)
        report = figures(installation, None, day=2)
    assert (report["currency"], report["month_cost"], report["month_forecast"]) == (None, None, None)
    assert report["days"][0]["cost"] is None
