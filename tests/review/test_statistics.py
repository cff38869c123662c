"""The forecast of the month, and costs as the database sums them. Other sums are tested in tests/web/test_api_review.py."""

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, insert

from callreel.domain.call import CallState, Direction, Role
from callreel.domain.cost import Prices
from callreel.domain.ids import CallId, LegSid, RecordingSid
from callreel.domain.label import LabelColor
from callreel.domain.recording import CloudState
from callreel.domain.transcript import TranscriptKind
from callreel.review.costs import cost_of, main_recording
from callreel.review.statistics import Figures, Group, day_figures
from callreel.store.calls import calls, labels, legs, recordings, streams
from callreel.store.calls.recordings import RecordingRow
from callreel.store.db import tables
from callreel.store.db.database import Database
from callreel.store.db.rows import values_of
from callreel.store.transcripts import transcripts
from callreel.store.transcripts.transcripts import Provenance
from tests.support.installation import NOON, Installation, grounded
from tests.support.rows import a_call


def ended_call(installation: Installation, number: int, day: int) -> None:
    """A minute of a call at noon of a day in November, not answered: its browser leg costs."""
    at = NOON.replace(day=day)
    row = a_call(
        installation.database, id=CallId(f"{number:012}"), leg_sid=LegSid(f"CA{number:032}"), created_at=at
    )
    with installation.database.write() as conn:
        calls.set_state(conn, row.id, CallState.ENDED, at + timedelta(seconds=60))


def figures(installation: Installation, prices: Prices | None, **now: int) -> dict[str, Any]:
    with installation.database.read() as conn:
        today = NOON.replace(**now)  # type: ignore[arg-type]
        return dict(day_figures(conn, date(2026, 11, 1), date(2026, 11, 2), UTC, None, prices, today))


def test_month_is_projected_at_its_rate(tmp_path: Path) -> None:
    with grounded(tmp_path) as installation:
        for number, day in enumerate((1, 5, 10)):
            ended_call(installation, number, day)
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
        ended_call(installation, 1, 1)
        report = figures(installation, Prices(), day=1, hour=13)
    assert report["month_forecast"] == pytest.approx(30 * report["month_cost"])


def test_without_prices_there_is_no_cost(tmp_path: Path) -> None:
    with grounded(tmp_path) as installation:
        ended_call(installation, 1, 1)
        report = figures(installation, None, day=2)
    assert (report["currency"], report["month_cost"], report["month_forecast"]) == (None, None, None)
    assert report["days"][0]["cost"] is None


BERLIN = ZoneInfo("Europe/Berlin")
FIRST, LAST = date(2026, 10, 23), date(2026, 10, 27)  # with a day of 25 hours


def a_bill(conn: Connection, number: int, random_: random.Random) -> CallId:
    """Any kind of call: live, not answered, of a file, with several legs, streams and recordings, rated or not."""
    call_id, choice = CallId(f"{number:012x}"), random_.choice
    at = datetime(2026, 10, 22, 21, 30, tzinfo=UTC) + timedelta(
        minutes=random_.randrange(5 * 24 * 60), milliseconds=number
    )
    answered = choice((None, at + timedelta(milliseconds=random_.randrange(30_000))))
    end = choice(
        (None, *[at + timedelta(milliseconds=choice((60_000, 60_001, random_.randrange(900_000))))] * 5)
    )

    def price() -> dict[str, Any]:
        return choice(
            ({}, {}, {"price": choice((0.0, 0.0125, 0.004)), "price_currency": choice(("USD", "EUR"))})
        )

    agent, leg = choice(("ada", "bob")), choice(("CA", "CA", "file-"))
    conn.execute(
        insert(tables.calls).values(
            id=call_id, direction=Direction.OUTGOING, state=CallState.CLOSED, agent=agent, remote_number="+15550100123",
            leg_sid=f"{leg}{number:032x}", inbound_role=Role.AGENT, created_at=at, answered_at=answered, ended_at=end, reasons=(),
            comparisons=(), demo=False, imported=False, language="", roles_swapped=False, redaction_awaited=False,
        )
    )  # fmt: skip
    for place in range(random_.randrange(4)):
        sid, role = f"{choice('ABC')}{place}{number:030x}", choice(list(Role))
        duration_s = choice((None, 0, 59, 60, 61, random_.randrange(900)))
        conn.execute(insert(tables.legs).values(sid=sid, call_id=call_id, role=role, status="completed", parent_sid="CA", duration_s=duration_s, **price()))  # fmt: skip
    for place in range(random_.randrange(3)):
        began = at + timedelta(milliseconds=random_.randrange(-5_000, 90_000))
        stopped = choice((None, began + timedelta(milliseconds=random_.randrange(-500, 300_000))))
        conn.execute(insert(tables.streams).values(sid=f"MZ{place}{number:030x}", call_id=call_id, leg_sid="CA", origin_ms=0, started_at=began, stopped_at=stopped, counts={}))  # fmt: skip
    for place in range(random_.randrange(3)):
        sid = f"{choice(('RE', 'file-'))}{place}{number:030x}"
        row = RecordingRow(RecordingSid(sid), call_id, LegSid("CA"), choice(list(CloudState)), at, duration_s=choice((None, 60, 61, 200)), channels=choice((None, 1, 2)))  # fmt: skip
        conn.execute(insert(tables.recordings).values(**{**values_of(tables.recordings, row), **price()}))
    for place in range(random_.randrange(3)):
        engine, charged = choice(("openai", "other")), choice((0.0, 0.006))
        audio = Provenance(audio_ms=random_.randrange(200_000), price_per_minute=charged, run=str(place))
        transcripts.put(conn, call_id, TranscriptKind.FINAL, engine, "", [], audio)
    return call_id


def test_summed_costs_are_those_of_the_calls(database: Database) -> None:
    random_, prices = random.Random(16), Prices()
    expected: dict[tuple[date, str], Decimal] = defaultdict(Decimal)
    with database.write() as conn:
        label = labels.add(conn, "complaint", LabelColor.RED).id
        of_label = Decimal(0)
        for number in range(120):
            call_id = a_bill(conn, number, random_)
            row = calls.get(conn, call_id)
            assert row is not None
            day = row.created_at.astimezone(BERLIN).date()
            main = main_recording(recordings.of_call(conn, call_id))
            billed = transcripts.billed_audio(conn, [call_id]).get(call_id, [])
            bill = cost_of(
                row, legs.of_call(conn, call_id), streams.of_call(conn, call_id), main, prices, billed
            )
            cost = bill.total if bill and FIRST <= day <= LAST else Decimal(0)
            expected[day, row.agent] += cost
            if number % 3 == 0:
                labels.attach(conn, call_id, label, "sam", NOON)
                of_label += cost
    with database.read() as conn:
        for agent in ("ada", "bob"):
            report: Any = day_figures(conn, FIRST, LAST, BERLIN, agent, prices, NOON)
            found = {day["date"]: day["cost"] for day in report["days"]}
            wanted = {day.isoformat(): float(cost) for (day, name), cost in expected.items() if name == agent and FIRST <= day <= LAST}  # fmt: skip
            assert len(wanted) == 5 and {day: found[day] for day in wanted} == pytest.approx(wanted)
        every: Any = day_figures(conn, FIRST, LAST, BERLIN, None, prices, NOON)
    assert (
        every["total"]["cost"] == pytest.approx(float(sum(expected.values()))) and every["total"]["cost"] > 1
    )
    assert every["labels"][0]["cost"] == pytest.approx(float(of_label))
