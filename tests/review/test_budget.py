"""The month's budget: alerts once a month each, and storage beyond the free minutes."""

from datetime import UTC, timedelta
from decimal import Decimal

import pytest
from fastapi.testclient import TestClient

from callreel.domain.call import CallState, Direction, Role
from callreel.domain.cost import BudgetAlert, Prices, budget_alert
from callreel.domain.ids import CallId, LegSid, RecordingSid
from callreel.domain.recording import FILE_PREFIX, CloudState
from callreel.review.budget import FACT, BudgetWatch
from callreel.review.statistics import month_figures
from callreel.store.calls import calls, deletions, facts, recordings
from callreel.store.calls.calls import CallRow
from callreel.store.calls.recordings import RecordingRow
from callreel.web.app import WebContext, WebOptions, create_app
from tests.support.installation import NOON, Installation

STARTED = NOON.replace(day=1)


def a_recorded_call(installation: Installation, number: int, duration_s: int, sid: str = "") -> RecordingSid:
    """A call on the first of the month; its browser leg costs 0.004 per minute, its recording 0.0025."""
    call_id, leg_sid = CallId(f"{number:012x}"), LegSid(f"CA{number:032x}")
    recording = RecordingSid(sid or f"RE{number:032x}")
    row = CallRow(call_id, Direction.OUTGOING, "ada", "+12125550123", leg_sid, Role.AGENT, STARTED)
    with installation.database.write() as conn:
        calls.insert(conn, row)
        calls.set_state(conn, call_id, CallState.ENDED, STARTED + timedelta(seconds=duration_s))
        recordings.upsert(
            conn, RecordingRow(recording, call_id, leg_sid, CloudState.STORED, STARTED, duration_s=duration_s)
        )
    return recording


@pytest.mark.parametrize(
    ("cost", "forecast", "budget", "alert"),
    [(1.0, 2.0, None, None), (1.0, 2.0, "2", None), (1.0, 2.1, "2", BudgetAlert.FORECAST), (2.1, 3.0, "2", BudgetAlert.EXCEEDED)],
)  # fmt: skip
def test_alert_follows_from_cost_and_forecast(
    cost: float, forecast: float, budget: str | None, alert: BudgetAlert | None
) -> None:
    assert budget_alert(cost, forecast, None if budget is None else Decimal(budget)) is alert


def test_storage_is_charged_beyond_the_free_minutes(installation: Installation) -> None:
    deleted = a_recorded_call(installation, 1, 6_000)
    a_recorded_call(installation, 2, 601)
    a_recorded_call(installation, 3, 60, f"{FILE_PREFIX}1")
    with installation.database.write() as conn:
        deletions.record(conn, deleted, CallId(f"{1:012x}"), NOON, was_there=True)
    with installation.database.read() as conn:
        free = month_figures(conn, UTC, None, Prices(), NOON)
        charged = month_figures(conn, UTC, None, Prices(free_stored_minutes=1), NOON)
        own = month_figures(conn, UTC, "ada", Prices(free_stored_minutes=1), NOON)
    assert (free["stored_minutes"], free["month_storage"]) == (11, 0.0)
    assert (charged["stored_minutes"], charged["month_storage"]) == (11, 0.005)
    assert isinstance(charged["month_forecast"], float) and isinstance(free["month_forecast"], float)
    assert charged["month_forecast"] - free["month_forecast"] == pytest.approx(0.005)
    assert (own["stored_minutes"], own["budget"]) == (None, None)


def test_storage_alone_can_exceed_the_budget(installation: Installation) -> None:
    a_recorded_call(installation, 1, 60_000)
    prices = Prices(free_stored_minutes=0, storage_per_minute_month=Decimal(1))
    with installation.database.read() as conn:
        month = month_figures(conn, UTC, None, prices, NOON, Decimal(900))
    assert month["budget_alert"] is BudgetAlert.EXCEEDED


def test_each_alert_is_sent_once_a_month(installation: Installation) -> None:
    a_recorded_call(installation, 1, 60_000)
    with installation.database.read() as conn:
        cost = month_figures(conn, UTC, None, Prices(), NOON)["month_cost"]
    assert isinstance(cost, float)

    def check(budget: float | None) -> bool:
        limit = None if budget is None else Decimal(str(budget))
        return BudgetWatch(installation.database, installation.clock, Prices(), limit).check()

    assert [check(None), check(cost * 9)] == [False, False]
    assert [check(cost * 1.1), check(cost * 1.1)] == [True, False]
    assert [check(cost / 2), check(cost / 2)] == [True, False]
    with installation.database.read() as conn:
        sent = facts.of_kind(conn, FACT)
    assert [(fact.data["alert"], fact.data["month"]) for fact in sent] == [
        ("budget_forecast", "2026-11"), ("budget_exceeded", "2026-11"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("budget", "said"), [("0.0001", "The cost so far in November 2026"), ("9999", "")], ids=["exceeded", "within"]
)  # fmt: skip
def test_dashboard_says_that_the_budget_is_exceeded(
    installation: Installation, budget: str, said: str
) -> None:
    a_recorded_call(installation, 1, 60)
    options = WebOptions(demo=True, prices=Prices(), monthly_budget=Decimal(budget))
    context = WebContext(
        installation.database, installation.blobs, installation.bus, options, clock=installation.clock
    )
    browser = TestClient(create_app(context), base_url="http://localhost")
    assert ("the monthly budget of" in browser.get("/statistics").text) == bool(said)
    assert said in browser.get("/statistics").text
    figures = browser.get("/api/v1/statistics").json()
    assert (figures["budget"], figures["stored_minutes"]) == (float(budget), 1)
