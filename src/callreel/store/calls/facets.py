"""Facets of the list of calls: how many of its calls have each agent, direction, verdict, label and kind of moment.

A facet's own filter does not limit its counts, so that they say what another value would find. Only the newest
`MOST_COUNTED` calls of the list's period are counted.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, select

from callreel.domain.call import Direction
from callreel.domain.verdict import Verdict
from callreel.insight.moment_kind import MomentKind
from callreel.store.calls import call_list
from callreel.store.calls.call_list import CallFilter
from callreel.store.calls.labels import labeled
from callreel.store.db.tables import call_labels, call_moments, calls, measures

MOST_COUNTED: Final = 20_000


@dataclass(frozen=True, slots=True)
class Facets:
    """Numbers of calls by value; the verdict None is that of calls without one. Values without calls are left out.

    `since`: earlier calls are not counted; None if all are.
    """

    agents: Mapping[str, int]
    directions: Mapping[Direction, int]
    verdicts: Mapping[Verdict | None, int]
    labels: Mapping[int, int]
    moments: Mapping[MomentKind, int]
    since: datetime | None


def count(conn: Connection, wanted: CallFilter, most: int = MOST_COUNTED) -> Facets:
    """Count the calls of a list."""
    since = _oldest_counted(conn, wanted, most)
    rest = replace(
        wanted, agent=None, direction=None, verdict=None, judged=None, label=None, moment=None,
        since=since or wanted.since,
    )  # fmt: skip
    general = call_list.conditions(conn, rest)
    if limits := call_list.measure_limits(rest):
        general.append(calls.c.id.in_(select(measures.c.call_id).where(*limits)))
    label = [calls.c.id.in_(labeled(wanted.label))] if wanted.label is not None else []
    moment = call_list.conditions(conn, CallFilter(moment=wanted.moment))
    columns = calls.c.agent, calls.c.direction, calls.c.verdict
    matching = select(*columns, func.count().label("calls")).where(*general, *label, *moment)
    agents, directions, verdicts = Counter[str](), Counter[Direction](), Counter[Verdict | None]()
    for row in conn.execute(matching.group_by(*columns)):
        of_agent = wanted.agent in (None, row.agent)
        of_direction = wanted.direction in (None, row.direction)
        of_verdict = wanted.verdict in (None, row.verdict) and wanted.judged in (
            None,
            row.verdict is not None,
        )
        if of_direction and of_verdict:
            agents[row.agent] += row.calls
        if of_agent and of_verdict:
            directions[row.direction] += row.calls
        if of_agent and of_direction:
            verdicts[row.verdict] += row.calls
    own = CallFilter(
        agent=wanted.agent, direction=wanted.direction, verdict=wanted.verdict, judged=wanted.judged
    )
    general += call_list.conditions(conn, own)
    with_label = select(call_labels.c.label_id, func.count()).join(calls, calls.c.id == call_labels.c.call_id)
    with_label = with_label.where(*general, *moment).group_by(call_labels.c.label_id)
    with_moment = select(call_moments.c.kind, func.count()).join(calls, calls.c.id == call_moments.c.call_id)
    with_moment = with_moment.where(*general, *label).group_by(call_moments.c.kind)
    return Facets(
        agents,
        directions,
        verdicts,
        {label_id: number for label_id, number in conn.execute(with_label)},
        {kind: number for kind, number in conn.execute(with_moment)},
        since,
    )


def _oldest_counted(conn: Connection, wanted: CallFilter, most: int) -> datetime | None:
    """When the last call that is counted began; None if the period of the list has no more calls than that."""
    period = CallFilter(since=wanted.since, until=wanted.until)
    query = select(calls.c.created_at).where(*call_list.conditions(conn, period))
    query = query.order_by(calls.c.created_at.desc()).offset(most - 1).limit(2)
    last, *earlier = [*conn.execute(query).scalars(), None]
    return last if any(earlier) else None
