"""Statistics by day, by agent and by label: calls, minutes, talk time, silences, interruptions, verdicts, storage, cost so far and
projected for the month.

A call counts for the day on which it began, in the reader's time zone. A few queries over the range read everything,
however many calls it has.
"""

import calendar
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from types import MappingProxyType
from typing import TypeVar

from sqlalchemy import Connection

from callreel.domain.call import Role
from callreel.domain.cost import Prices, budget_alert, started_minutes
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.domain.recording import from_file
from callreel.domain.verdict import Verdict
from callreel.review.costs import call_duration_ms, cost_of, main_recording
from callreel.store.calls import figures, labels
from callreel.store.transcripts import transcripts

R = TypeVar("R")
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

    def add_measures(self, row: figures.MeasuredSums | None) -> None:
        """Add those of one call, None if it is not measured."""
        if row is None:
            return
        self.measured += 1
        self.speech_ms[Role.AGENT.value] += row.agent_talk_ms
        self.speech_ms[Role.TECHNICIAN.value] += row.technician_talk_ms
        self.silence_ms += row.silence_ms
        self.overlap_ms += row.overlap_ms
        self.interruptions += row.interruptions
        self.agent_interruptions += row.agent_interruptions

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
        """Add one call; `day` counts from the first of the period."""
        self.sums.add(found)
        part = (self.days - 1 - day) // self._days_of_part
        self.calls[part] += 1
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
    since = datetime.combine(first, time(), zone)
    until = datetime.combine(last + timedelta(days=1), time(), zone)
    days = {first + timedelta(days=n): Figures() for n in range((last - first).days + 1)}
    agents: dict[str, Group] = defaultdict(lambda: Group(len(days)))
    by_label: dict[int, Group] = defaultdict(lambda: Group(len(days)))
    rows = figures.heads_between(conn, since, until, agent)
    legs = _by_call(figures.legs_between(conn, since, until) if prices else (), lambda row: row.call_id)
    streams = _by_call(figures.streams_between(conn, since, until) if prices else (), lambda row: row.call_id)
    recordings = _by_call(figures.recordings_between(conn, since, until), lambda row: row.call_id)
    labeled = figures.labels_between(conn, since, until)
    spoken = figures.spoken_between(conn, since, until)
    measured = figures.sums_between(conn, since, until)
    stored = figures.stored_between(conn, since, until)
    charged = transcripts.billed_audio(conn, [row.id for row in rows]) if prices is not None else {}
    for row in rows:
        found = _of_call(row, spoken.get(row.id, {}), stored.get(row.id, 0))
        found.add_measures(measured.get(row.id))
        kept = [
            recording
            for recording in recordings[row.id]
            if recording.state in figures.AT_CARRIER and not from_file(recording.sid)
        ]
        found.carrier_minutes = sum(started_minutes(1000 * (recording.duration_s or 0)) for recording in kept)
        if prices is not None:
            main, by_engines = main_recording(recordings[row.id]), charged.get(row.id, [])
            cost = cost_of(row, legs[row.id], streams[row.id], main, prices, by_engines)
            found.cost = cost.total if cost else Decimal(0)
        day = row.created_at.astimezone(zone).date()
        days[day].add(found)
        for group in (agents[row.agent], *(by_label[label] for label in labeled.get(row.id, ()))):
            group.add(found, (day - first).days)
    return Sorted(days, agents, by_label)


def _of_call(row: figures.CallHead, speech_ms: Mapping[str, int], stored_bytes: int) -> Figures:
    return Figures(
        calls=1,
        duration_ms=call_duration_ms(row) or 0,
        speech_ms=Counter(speech_ms),
        verdicts=Counter({row.verdict.value if row.verdict else NO_VERDICT: 1}),
        storage_bytes=stored_bytes,
    )


def _by_call(rows: Iterable[R], call_of: Callable[[R], CallId]) -> Mapping[CallId, Sequence[R]]:
    sorted_out: dict[CallId, list[R]] = defaultdict(list)
    for row in rows:
        sorted_out[call_of(row)].append(row)
    return sorted_out
