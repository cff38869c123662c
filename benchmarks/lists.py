"""The list of calls and the dashboard with many calls: the time that the server spends on one answer.

Rows of a year of calls are written into an empty database: calls with measures, recent ones also with legs, streams,
recordings and layers.
Then each kind of list (filtered, sorted, a later page, one agent's own), the facets beside it, and the dashboard's 30 days
are answered many times, including the JSON.

    .venv/bin/python -m benchmarks.lists --calls 50000 --rounds 20 --json
    .venv/bin/python -m benchmarks.lists --postgres
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
from fastapi.responses import JSONResponse
from sqlalchemy import Connection, Table, insert, text
from tests.support.postgres import PostgresServer, postgres_server

from benchmarks.report import show
from callreel.domain.call import CallState, Direction, Role
from callreel.domain.cost import Prices
from callreel.domain.label import LabelColor
from callreel.domain.measures import CallSpeech, Span, measure
from callreel.domain.phrases import Trigger
from callreel.domain.recording import CloudState, Layer, LayerState
from callreel.domain.verdict import Reason, Verdict
from callreel.insight.moment_kind import MomentKind
from callreel.review.statistics import day_figures
from callreel.store.calls import measures as measured_calls
from callreel.store.calls.call_list import CallFilter, Position, Sort
from callreel.store.db.database import Database
from callreel.store.db.tables import (
    call_labels,
    call_moments,
    calls,
    labels,
    layers,
    legs,
    measures,
    phrase_alerts,
    recordings,
    streams,
    topics,
    turn_index,
)
from callreel.web.api.calls import call_page
from callreel.web.organizing.facets import facet_summary

NOW = datetime(2026, 11, 29, 18, 0, tzinfo=UTC)
AGENTS = [f"agent{number}" for number in range(25)]
PAGE = 50
BATCH = 2_000
RECENT = timedelta(days=62)
"""Only the dashboard reads the other rows of a call, and only those of recent calls."""
LABELS = {1: 2, 2: 500}
"""By its id, every how many calls have a label."""
ALERT_EVERY = 20
"""One of so many calls has an alert, of one of three rules."""
MOMENTS = {MomentKind.QUESTION: 1, MomentKind.COMPLAINT: 20, MomentKind.PROMISE: 500}
"""Every how many calls have such a moment."""
NO_TOPIC_EVERY = 5
"""One of so many calls has no topic; the list shows how it begins."""
TURNS = (
    "hello this is the service desk",
    "good morning",
    "i am in front of the unit on the roof",
    "thank you",
)
LAYERS: tuple[tuple[Layer, Role | None], ...] = (
    (Layer.CLOUD, None),
    (Layer.LIVE_8K, Role.AGENT),
    (Layer.LIVE_8K, Role.TECHNICIAN),
)


@dataclass(frozen=True, slots=True)
class Report:
    """Times in ms of one answer with its JSON. `cpu` is this process's CPU time, without that of a PostgreSQL server: it
    depends less on the load of the machine.
    """

    database: str
    calls: int
    answers: int
    list_p50_ms: float
    list_p95_ms: float
    list_cpu_p95_ms: float
    list_worst: str
    facets_p50_ms: float
    facets_p95_ms: float
    facets_cpu_p95_ms: float
    facets_worst: str
    dashboard_p50_ms: float
    dashboard_p95_ms: float
    dashboard_cpu_p95_ms: float


def _measured(random_: random.Random, length_ms: int) -> dict[str, object]:
    speech: dict[Role, list[Span]] = {role: [] for role in Role}
    at, role = random_.randrange(500, 4_000), Role.AGENT
    while at < length_ms:
        end = min(length_ms, at + random_.randrange(400, 9_000))
        speech[role].append(Span(at, end))
        at = max(at + 50, end + random_.randrange(-900, 2_500) + (random_.random() < 0.05) * 8_000)
        role = role.other
    words = {role: sum(span.length_ms for span in spans) // 350 for role, spans in speech.items()}
    found = measure(CallSpeech(speech, 0, length_ms, (), words, random_.randrange(2_000, 20_000)), 5_000)
    return measured_calls.values_of(found)


@cache
def _variants() -> list[dict[str, object]]:
    """Measures of calls of 20 s to 15 minutes, of which each call gets one."""
    random_ = random.Random(17)
    return [_measured(random_, random_.randrange(20, 900) * 1000) for _ in range(400)]


def rows_of(number: int, random_: random.Random) -> Iterator[tuple[Table, dict[str, object]]]:
    """All rows of one call, at a random time of the last year."""
    call_id, leg, sid = f"{number:012x}", f"CA{number:032x}", f"RE{number:032x}"
    at = NOW - timedelta(seconds=random_.randrange(365 * 86_400))
    length_s = random_.randrange(20, 900)
    end = at + timedelta(seconds=length_s + 8)
    verdict = random_.choices((Verdict.VERIFIED, Verdict.EXPLAINED, Verdict.SUSPECT), (90, 8, 2))[0]
    yield calls, {
        "id": call_id, "direction": random_.choice(list(Direction)), "state": CallState.CLOSED,
        "agent": random_.choice(AGENTS), "remote_number": f"+1212555{number % 10_000:04}", "leg_sid": leg,
        "inbound_role": Role.AGENT, "created_at": at, "answered_at": at + timedelta(seconds=8), "ended_at": end,
        "closed_at": end, "verdict": verdict, "reasons": (Reason("frames_lost", "20 ms are missing", Role.AGENT),),
        "comparisons": (), "demo": False, "imported": False, "language": "", "roles_swapped": False, "redaction_awaited": False,
        "reviewed_at": end if number % 40 else None, "reviewed_by": "sam" if number % 40 else None,
        "assigned_to": None if number % 90 else "sam",
    }  # fmt: skip
    if number % ALERT_EVERY == 0:
        yield phrase_alerts, {
            "call_id": call_id, "rule_id": 1 + number // ALERT_EVERY % 3, "rule": "refund", "trigger": Trigger.SAID,
            "role": Role.AGENT, "place": "agent-1", "start_ms": 1000, "end_ms": 2000, "at": at,
        }  # fmt: skip
    for label_id, every in LABELS.items():
        if number % every == 0:
            yield (
                call_labels,
                {"call_id": call_id, "label_id": label_id, "created_at": at, "by": "sam", "at": end},
            )
    topic = "left gauge, valve, pressure" if number % NO_TOPIC_EVERY else None
    yield topics, {"call_id": call_id, "version": 1, "due": False, "text": topic}
    if topic is None:
        for position, said in enumerate(TURNS):
            yield turn_index, {
                "call_id": call_id, "position": position, "role": Role.AGENT, "start_ms": 0, "end_ms": 1_000,
                "text": said, "word_starts": [], "tokens": "",
            }  # fmt: skip
    for kind, every in MOMENTS.items():
        if number % every == 0:
            yield call_moments, {"call_id": call_id, "kind": kind}
    yield measures, {"call_id": call_id, "created_at": at, **random_.choice(_variants())}
    if at < NOW - RECENT:
        return
    for role in Role:
        side, parent = ("a", None) if role is Role.AGENT else ("b", leg)
        yield legs, {
            "sid": leg if side == "a" else f"CB{number:032x}", "call_id": call_id, "parent_sid": parent, "role": role,
            "status": "completed", "started_at": at, "ended_at": end, "duration_s": length_s,
        }  # fmt: skip
    yield streams, {
        "sid": f"MZ{number:032x}", "call_id": call_id, "leg_sid": leg, "origin_ms": 0, "started_at": at,
        "stopped_at": end, "counts": {"agent": {"gap_ms": 0}, "technician": {"gap_ms": 0}},
    }  # fmt: skip
    yield recordings, {
        "sid": sid, "call_id": call_id, "leg_sid": leg, "state": CloudState.STORED, "started_at": at,
        "channels": 2, "duration_s": length_s, "paused": False, "updated_at": end, "source": "", "carrier_status": "",
    }  # fmt: skip
    for layer, of_role in LAYERS:
        yield layers, {
            "call_id": call_id, "layer": layer, "role": of_role, "path": f"{layer}/{of_role}_{call_id}.wav", "rate_hz": 8_000,
            "channels": 1 if of_role else 2, "duration_ms": length_s * 1000, "size_bytes": length_s * 16_000,
            "state": LayerState.CLOSED,
        }  # fmt: skip


def fill(database: Database, count: int) -> None:
    random_ = random.Random(16)
    with database.write() as conn:
        for label_id in LABELS:
            conn.execute(insert(labels).values(id=label_id, name=f"label {label_id}", color=LabelColor.RED))
    for first in range(0, count, BATCH):
        tables: dict[Table, list[dict[str, object]]] = {}
        for number in range(first, min(first + BATCH, count)):
            for table, row in rows_of(number, random_):
                tables.setdefault(table, []).append(row)
        with database.write() as conn:
            for table, found in tables.items():
                known = {name for name in found[0] if name in table.c}
                conn.execute(insert(table), [{name: row[name] for name in known} for row in found])
    with database.write() as conn:
        conn.execute(text("ANALYZE"))


def kinds(conn: Connection) -> dict[str, tuple[CallFilter, Sort, Position | None]]:
    """Every kind of list that the page can request, and a second page of each order."""
    since = NOW - timedelta(days=30)
    filters = {
        "all": CallFilter(),
        "one agent": CallFilter(own=AGENTS[3]),
        "a month": CallFilter(since=since, until=NOW),
        "suspect": CallFilter(verdict=Verdict.SUSPECT),
        "long silences": CallFilter(min_silence_s=60),
        "no such silence": CallFilter(min_silence_s=90_000),
        "interrupted": CallFilter(min_interruptions=12),
        "agent talks": CallFilter(min_agent_ratio=0.6),
        "long calls": CallFilter(min_s=840),
        "any alert": CallFilter(alert=True),
        "alert of a rule": CallFilter(alert_rule=2),
        "no such alert": CallFilter(alert_rule=9),
        "common label": CallFilter(label=1),
        "rare label": CallFilter(label=2),
        "with questions": CallFilter(moment=MomentKind.QUESTION),
        "with complaints": CallFilter(moment=MomentKind.COMPLAINT),
        "with promises": CallFilter(moment=MomentKind.PROMISE),
        "label, to review": CallFilter(label=1, reviewed=False),
        "to review": CallFilter(reviewed=False),
        "reviewed": CallFilter(reviewed=True),
        "assigned": CallFilter(assigned_to="sam"),
        "not assigned, to review": CallFilter(unassigned=True, reviewed=False),
        "all of these": CallFilter(
            since=since, agent=AGENTS[3], verdict=Verdict.EXPLAINED, min_silence_s=10, min_interruptions=3,
            max_agent_ratio=0.6, min_s=60,
        ),
    }  # fmt: skip
    found: dict[str, tuple[CallFilter, Sort, Position | None]] = {}
    for name, wanted in filters.items():
        for sort in Sort:
            found[f"{name}, {sort}"] = (wanted, sort, None)
    for sort in Sort:
        before = NOW - timedelta(days=200)
        at = Position(before, value=None if sort is Sort.NEWEST else 0.5 if sort is Sort.AGENT_RATIO else 5.0)
        found[f"later page, {sort}"] = (CallFilter(own=AGENTS[3]), sort, at)
    return found


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and CPU time."""
    began, cpu = time.perf_counter(), time.thread_time()
    work()
    return (time.perf_counter() - began) * 1000, (time.thread_time() - cpu) * 1000


def percentile(times: Iterable[tuple[float, float]], percent: int, *, cpu: bool = False) -> float:
    return round(float(np.percentile([one[cpu] for one in times], percent)), 1)


def run(database: Database, name: str, count: int, rounds: int) -> Report:
    fill(database, count)
    with database.read() as conn:
        wanted = kinds(conn)
    lists: dict[str, list[tuple[float, float]]] = {kind: [] for kind in wanted}
    counted: dict[str, list[tuple[float, float]]] = {}
    dashboards = []

    def answer(kind: str) -> None:
        filters, sort, before = wanted[kind]
        with database.read() as conn:
            JSONResponse(call_page(conn, filters, PAGE, before, sort))

    def count_facets(kind: str) -> None:
        with database.read() as conn:
            JSONResponse(facet_summary(conn, wanted[kind][0]))

    def dashboard() -> None:
        last = NOW.date()
        with database.read() as conn:
            JSONResponse(day_figures(conn, last - timedelta(days=29), last, UTC, None, Prices(), NOW))

    for _ in range(rounds):
        for kind in wanted:
            lists[kind].append(timed(lambda kind=kind: answer(kind)))  # type: ignore[misc]
            if wanted[kind][1] is Sort.NEWEST:  # facets have no order
                counted.setdefault(kind, []).append(timed(lambda kind=kind: count_facets(kind)))  # type: ignore[misc]
        dashboards.append(timed(dashboard))
    every = [one for times in lists.values() for one in times]
    facets = [one for times in counted.values() for one in times]
    dearest = max(counted, key=lambda kind: percentile(counted[kind], 50, cpu=True))
    worst = max(lists, key=lambda kind: percentile(lists[kind], 50, cpu=True))
    return Report(
        database=name,
        calls=count,
        answers=len(every),
        list_p50_ms=percentile(every, 50),
        list_p95_ms=percentile(every, 95),
        list_cpu_p95_ms=percentile(every, 95, cpu=True),
        list_worst=f"{worst}: {percentile(lists[worst], 50, cpu=True)} ms of CPU",
        facets_p50_ms=percentile(facets, 50),
        facets_p95_ms=percentile(facets, 95),
        facets_cpu_p95_ms=percentile(facets, 95, cpu=True),
        facets_worst=f"{dearest}: {percentile(counted[dearest], 50, cpu=True)} ms of CPU",
        dashboard_p50_ms=percentile(dashboards, 50),
        dashboard_p95_ms=percentile(dashboards, 95),
        dashboard_cpu_p95_ms=percentile(dashboards, 95, cpu=True),
    )


@contextmanager
def opened(postgres: bool) -> Iterator[tuple[Database, str]]:
    with tempfile.TemporaryDirectory() as folder:
        if not postgres:
            database = Database.open(f"sqlite:///{Path(folder, 'app.db')}")
            database.migrate()
            yield database, "sqlite"
            database.close()
            return
        with postgres_server() as server:
            assert isinstance(server, PostgresServer)
            database = Database.open(server.new_url())
            database.migrate()
            yield database, "postgresql"
            database.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--postgres", action="store_true", help="PostgreSQL instead of SQLite")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with opened(options.postgres) as (database, name):
        show(run(database, name, options.calls, options.rounds), as_json=options.json)


if __name__ == "__main__":
    main()
