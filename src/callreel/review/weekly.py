"""The report of a week: volume beside the week before, busiest hours, silences, alerts, verdicts, labels, and calls to review
with the reasons. Calls count for the day on which they began, in the reader's time zone."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from typing import Final

from sqlalchemy import Connection

from callreel.domain.call import CallState
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.domain.verdict import Verdict
from callreel.review.costs import call_duration_ms
from callreel.review.statistics import NO_VERDICT
from callreel.review.summary import Summary, call_head
from callreel.review.week import Week
from callreel.store.calls import figures, labels
from callreel.store.calls.calls import CallRow
from callreel.store.calls.figures import AlertHead
from callreel.store.calls.measures import MeasuresHead
from callreel.store.people import technicians
from callreel.store.transcripts import phrase_rules

LONG_SILENCE_S: Final = 60
"""Of all listed silences of a call together: from here on the call is one to review."""
MANY_INTERRUPTIONS: Final = 5
BUSIEST_HOURS: Final = 3
MOST_LISTED: Final = 20
"""Calls to review that are listed, those with the most reasons first; the others are counted."""


@dataclass(frozen=True, slots=True)
class _Calls:
    """All calls that began within a week, with what the report counts of them."""

    rows: Sequence[CallRow]
    measured: Mapping[CallId, MeasuresHead]
    labels: Mapping[CallId, Sequence[int]]


def weekly_report(conn: Connection, week: Week, zone: tzinfo) -> dict[str, Json]:
    """The report of one week; `zone` decides which calls are in it and what an hour is."""
    found, earlier = _read(conn, week, zone), _read(conn, week.before, zone)
    alerts = figures.alerts_between(conn, *_bounds(week, zone))
    return {
        "week": str(week),
        "from": week.monday.isoformat(),
        "to": week.sunday.isoformat(),
        "zone": str(zone),
        "before": str(week.before),
        "volume": {
            "calls": len(found.rows),
            "calls_before": len(earlier.rows),
            "minutes": _minutes(found.rows),
            "minutes_before": _minutes(earlier.rows),
        },
        "busiest": _busiest(found.rows, zone),
        "silences": _silences(found),
        "silences_before": _silences(earlier),
        "alerts": _alerts(conn, alerts),
        "verdicts": _verdicts(found.rows),
        "suspect_to_review": sum(
            row.verdict is Verdict.SUSPECT and row.reviewed_at is None for row in found.rows
        ),
        "labels": _labels(conn, found, earlier),
        "to_review": _to_review(conn, found, alerts),
    }


def _bounds(week: Week, zone: tzinfo) -> tuple[datetime, datetime]:
    return datetime.combine(week.monday, time(), zone), datetime.combine(week.after.monday, time(), zone)


def _read(conn: Connection, week: Week, zone: tzinfo) -> _Calls:
    since, until = _bounds(week, zone)
    return _Calls(
        figures.calls_between(conn, since, until),
        figures.measured_between(conn, since, until),
        figures.labels_between(conn, since, until),
    )


def _minutes(rows: Iterable[CallRow]) -> float:
    return round(sum(call_duration_ms(row) or 0 for row in rows) / 60_000, 1)


def _busiest(rows: Iterable[CallRow], zone: tzinfo) -> list[Json]:
    """The hours in which the most calls began, the earlier first among equals."""
    hours = Counter(
        row.created_at.astimezone(zone).replace(minute=0, second=0, microsecond=0, fold=0, tzinfo=None)
        for row in rows
    )
    found = sorted(hours.items(), key=lambda item: (-item[1], item[0]))[:BUSIEST_HOURS]
    return [{"date": hour.date().isoformat(), "hour": hour.hour, "calls": calls} for hour, calls in found]


def _silences(found: _Calls) -> dict[str, Json]:
    heads = found.measured.values()
    return {
        "measured": len(heads),
        "silences": sum(head.silences for head in heads),
        "silence_s": round(sum(head.silence_ms for head in heads) / 1000),
        "long_calls": sum(head.silence_ms >= LONG_SILENCE_S * 1000 for head in heads),
    }


def _alerts(conn: Connection, alerts: Iterable[AlertHead]) -> list[Json]:
    """By rule, the most alerts first. A removed rule has the name that it had at its last alert, and no link."""
    known = {row.id: row.name for row in phrase_rules.all_rules(conn)}
    names, number = dict[int, str](), Counter[int]()
    of_rule: dict[int, set[CallId]] = defaultdict(set)
    for alert in alerts:
        names[alert.rule_id] = alert.rule
        number[alert.rule_id] += 1
        of_rule[alert.rule_id].add(alert.call_id)
    return [
        {
            "rule_id": rule, "rule": known.get(rule, names[rule]), "exists": rule in known, "alerts": count,
            "calls": len(of_rule[rule]),
        }
        for rule, count in number.most_common()
    ]  # fmt: skip


def _verdicts(rows: Iterable[CallRow]) -> dict[str, Json]:
    found = Counter(row.verdict.value if row.verdict else NO_VERDICT for row in rows)
    return {name: found[name] for name in (*Verdict, NO_VERDICT)}


def _labels(conn: Connection, found: _Calls, earlier: _Calls) -> list[Json]:
    now, before = (
        Counter(label for given in calls.labels.values() for label in given) for calls in (found, earlier)
    )
    return [
        {"id": label.id, "name": label.name, "color": label.color.value, "calls": now[label.id], "calls_before": before[label.id]}
        for label in labels.all_labels(conn)
        if now[label.id] or before[label.id]
    ]  # fmt: skip


def _to_review(conn: Connection, found: _Calls, alerts: Iterable[AlertHead]) -> dict[str, Json]:
    """Calls that no one has reviewed and that have a reason to be."""
    rules: dict[CallId, dict[str, None]] = defaultdict(dict)
    for alert in alerts:
        rules[alert.call_id][alert.rule] = None
    open_calls = [row for row in found.rows if row.reviewed_at is None and row.state is not CallState.LIVE]
    reasons = {row.id: _reasons(row, found.measured.get(row.id), [*rules[row.id]]) for row in open_calls}
    due = [row for row in open_calls if reasons[row.id]]
    due.sort(key=lambda row: (len(reasons[row.id]), row.created_at), reverse=True)
    listed = due[:MOST_LISTED]
    names = technicians.names_of(conn, {row.remote_number for row in listed})
    calls: list[Json] = [_listed(row, names, reasons[row.id]) for row in listed]
    counted = Counter(str(reason["reason"]) for row in due for reason in reasons[row.id])
    return {"total": len(due), "reasons": dict(counted), "calls": calls}


def _listed(row: CallRow, names: Mapping[str, str], reasons: Sequence[Summary]) -> Summary:
    return {**call_head(row, names), "review_reasons": [*reasons]}


def _reasons(row: CallRow, measured: MeasuresHead | None, rules: Sequence[str]) -> list[Summary]:
    """Why a call is one to review; empty if nothing says so."""
    found: list[Summary] = []
    if row.verdict is Verdict.SUSPECT:
        found.append({"reason": "suspect"})
    if rules:
        found.append({"reason": "alert", "rules": [*rules]})
    if measured is not None and measured.silence_ms >= LONG_SILENCE_S * 1000:
        found.append({"reason": "silence", "silence_ms": measured.silence_ms})
    if measured is not None and measured.interruptions >= MANY_INTERRUPTIONS:
        found.append({"reason": "interruptions", "interruptions": measured.interruptions})
    return found
