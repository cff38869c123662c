"""Statistics by day, by agent and by label: calls, minutes, talk time, silences, interruptions, verdicts, storage, cost so far and
projected for the month.

A call counts for the day on which it began, in the reader's time zone. The database sums, so that the time depends little on
the number of calls.
"""

import calendar
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from itertools import pairwise
from types import MappingProxyType

from sqlalchemy import Connection

from callreel.domain.call import Role
from callreel.domain.cost import Prices, budget_alert
from callreel.domain.events import Json
from callreel.domain.verdict import Verdict
from callreel.store.calls import figures, labels

NO_VERDICT = "none"
MOST_PARTS = 12
"""Of a trend: a period is divided into at most so many equal parts."""
_OF_MONTH = ("month_cost", "month_forecast", "stored_minutes", "month_storage", "budget", "budget_alert")


@dataclass(slots=True)
class Figures:
    """Sums over some calls. `carrier_minutes` are the started minutes of recordings stored at the carrier.

    The measures are sums over `measured` calls; talk time is that of turns where a call is not measured.
    """

    calls: int = 0
    duration_ms: int = 0
    speech_ms: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    measured: int = 0
    silence_ms: int = 0
    overlap_ms: int = 0
    interruptions: int = 0
    agent_interruptions: int = 0
    storage_bytes: int = 0
    carrier_minutes: int = 0
    cost: Decimal = Decimal(0)

    def add(self, other: "Figures") -> None:
        self.calls += other.calls
        self.duration_ms += other.duration_ms
        self.measured += other.measured
        self.silence_ms += other.silence_ms
        self.overlap_ms += other.overlap_ms
        self.interruptions += other.interruptions
        self.agent_interruptions += other.agent_interruptions
        self.storage_bytes += other.storage_bytes
        self.carrier_minutes += other.carrier_minutes
        self.cost += other.cost
        for role, spoken_ms in other.speech_ms.items():
            self.speech_ms[role] += spoken_ms
        for verdict, calls in other.verdicts.items():
            self.verdicts[verdict] += calls

    def as_json(self, *, priced: bool) -> dict[str, Json]:
        return {
            "calls": self.calls,
            "minutes": round(self.duration_ms / 60_000, 1),
            "speech_ms": {role.value: self.speech_ms[role.value] for role in Role},
            "measured": self.measured,
            "silence_ms": self.silence_ms,
            "overlap_ms": self.overlap_ms,
            "interruptions": self.interruptions,
            "agent_interruptions": self.agent_interruptions,
            "verdicts": {name: self.verdicts[name] for name in (*Verdict, NO_VERDICT)},
            "storage_bytes": self.storage_bytes,
            "carrier_minutes": self.carrier_minutes,
            "cost": round(float(self.cost), 4) if priced else None,
        }


@dataclass(slots=True)
class Group:
    """The calls of an agent or a label in a period of `days` days: their sums, and per part of the period, oldest first, what a trend is made of.

    The parts have equally many days, except that the first may have fewer.
    """

    days: int
    sums: Figures = field(default_factory=Figures)
    calls: Counter[int] = field(default_factory=Counter)
    measured: Counter[int] = field(default_factory=Counter)
    silence_ms: Counter[int] = field(default_factory=Counter)

    def add(self, found: Figures, day: int) -> None:
        """Add some calls of one day; `day` counts from the first of the period."""
        self.sums.add(found)
        part = (self.days - 1 - day) // self._days_of_part
        self.calls[part] += found.calls
        self.measured[part] += found.measured
        self.silence_ms[part] += found.silence_ms

    def as_json(self, *, priced: bool) -> dict[str, Json]:
        parts = range((self.days - 1) // self._days_of_part, -1, -1)
        days = {part: min(self._days_of_part, self.days - part * self._days_of_part) for part in parts}
        silence_s = [
            round(self.silence_ms[part] / 1000 / measured, 1) if (measured := self.measured[part]) else None
            for part in parts
        ]
        trend: dict[str, Json] = {
            "calls_a_day": [round(self.calls[part] / days[part], 2) for part in parts],
            "silence_s_a_call": [*silence_s],
        }
        return {**self.sums.as_json(priced=priced), "trend": trend}

    @property
    def _days_of_part(self) -> int:
        return -(-self.days // MOST_PARTS)


@dataclass(frozen=True, slots=True)
class Sorted:
    """The calls of a period: the sums of each day, also of those without calls, and each agent and label with calls."""

    days: dict[date, Figures]
    agents: dict[str, Group]
    labels: dict[int, Group]


def day_figures(
    conn: Connection,
    first: date,
    last: date,
    zone: tzinfo,
    agent: str | None,
    prices: Prices | None,
    now: datetime,
    budget: Decimal | None = None,
) -> dict[str, Json]:
    """Each day from `first` to `last`, both included, each agent and label in them, their total, and the month of `now`.

    `agent` is the identity whose calls count, None for all. Costs are None without `prices`.
    """
    found = _sorted(conn, first, last, zone, agent, prices)
    total = Figures()
    for figures_of_day in found.days.values():
        total.add(figures_of_day)
    priced = prices is not None
    return {
        "zone": str(zone),
        "currency": prices.currency if prices else None,
        "days": [
            {"date": day.isoformat(), **sums.as_json(priced=priced)} for day, sums in found.days.items()
        ],
        "agents": [
            {"agent": name, **group.as_json(priced=priced)} for name, group in sorted(found.agents.items())
        ],
        "labels": [
            {"id": label.id, "name": label.name, "color": label.color.value, **group.as_json(priced=priced)}
            for label in labels.all_labels(conn)
            if (group := found.labels.get(label.id)) is not None
        ],
        "total": total.as_json(priced=priced),
        **month_figures(conn, zone, agent, prices, now, budget, found.days),
    }


def month_figures(
    conn: Connection,
    zone: tzinfo,
    agent: str | None,
    prices: Prices | None,
    now: datetime,
    budget: Decimal | None = None,
    known: Mapping[date, Figures] = MappingProxyType({}),
) -> dict[str, Json]:
    """This month so far, and projected to its end at the same rate, with the month's storage at the carrier.

    Storage and budget are the account's, so one agent's figures have neither. `known` are days that need not be read again.
    """
    today = now.astimezone(zone)
    first = today.date().replace(day=1)
    name = f"{first:%Y-%m}"
    if prices is None:
        return {"month": name, **dict.fromkeys(_OF_MONTH)}
    so_far, days = Figures(), [first + timedelta(days=n) for n in range(today.day)]
    missing = [day for day in days if day not in known]
    read = _sorted(conn, missing[0], missing[-1], zone, agent, prices).days if missing else {}
    for day in days:
        so_far.add(known[day] if day in known else read[day])
    long_days = calendar.monthrange(first.year, first.month)[1]
    month_start = datetime.combine(first, time(), zone)
    # At least one day, so that a call in the first hour is not projected to every hour.
    elapsed_days = max(1.0, (today - month_start) / timedelta(days=1))
    cost = round(float(so_far.cost), 4)
    expected = so_far.cost * Decimal(long_days / elapsed_days)
    if agent is not None:
        return {
            "month": name,
            **dict.fromkeys(_OF_MONTH),
            "month_cost": cost,
            "month_forecast": round(float(expected), 4),
        }
    stored = figures.minutes_at_carrier(conn)
    storage = prices.storage_of_month(stored)
    forecast = round(float(expected + storage), 4)
    return {
        "month": name,
        "month_cost": cost,
        "month_forecast": forecast,
        "stored_minutes": stored,
        "month_storage": round(float(storage), 4),
        "budget": None if budget is None else float(budget),
        "budget_alert": budget_alert(round(float(so_far.cost + storage), 4), forecast, budget),
    }


def _sorted(
    conn: Connection, first: date, last: date, zone: tzinfo, agent: str | None, prices: Prices | None
) -> Sorted:
    dates = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    starts = [datetime.combine(day, time(), zone) for day in [*dates, last + timedelta(days=1)]]
    days = {day: Figures() for day in dates}
    agents: dict[str, Group] = defaultdict(lambda: Group(len(days)))
    by_label: dict[int, Group] = defaultdict(lambda: Group(len(days)))
    currency = prices.currency if prices else ""
    for row in figures.sums_between(conn, list(pairwise(starts)), agent, currency):
        found = _figures(row, prices)
        if row.agent is not None:
            days[dates[row.day]].add(found)
            agents[row.agent].add(found, row.day)
        if row.label is not None:
            by_label[row.label].add(found, row.day)
    return Sorted(days, agents, by_label)


def _figures(row: figures.Sums, prices: Prices | None) -> Figures:
    verdicts = {verdict.value: getattr(row, verdict.value) for verdict in Verdict}
    return Figures(
        calls=row.calls,
        duration_ms=row.duration_ms,
        speech_ms=Counter(
            {Role.AGENT.value: row.agent_talk_ms, Role.TECHNICIAN.value: row.technician_talk_ms}
        ),
        verdicts=Counter({**verdicts, NO_VERDICT: row.calls - sum(verdicts.values())}),
        measured=row.measured,
        silence_ms=row.silence_ms,
        overlap_ms=row.overlap_ms,
        interruptions=row.interruptions,
        agent_interruptions=row.agent_interruptions,
        storage_bytes=row.storage_bytes,
        carrier_minutes=row.carrier_minutes,
        cost=_cost(row, prices) if prices else Decimal(0),
    )


def _cost(row: figures.Sums, prices: Prices) -> Decimal:
    return (
        row.client_minutes * prices.client_leg_per_minute
        + row.number_minutes * prices.number_leg_per_minute
        + row.stream_minutes * prices.stream_per_minute
        + row.recording_minutes * prices.recording_per_minute
        + Decimal(str(row.charged))
        + Decimal(str(row.transcribed))
    )
