"""Alerts of phrase rules as rows: which rule, and where in the call. They have no text of the call."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Select, delete, func, select

from callreel.domain.call import Role
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.json_time import json_time
from callreel.domain.phrases import PhraseRule, Trigger
from callreel.store.db.dialect import insert_new
from callreel.store.db.rows import fetch_all, fetch_one
from callreel.store.db.tables import phrase_alerts

MISSING = "missing"
"""The place of a missing phrase's alert."""


@dataclass(frozen=True, slots=True)
class PhraseAlertRow:
    """`rule` is the rule's name when the alert was raised. `start_ms` and `end_ms` are positions in the live layers, and
    None for a missing phrase; `place` is the segment with the phrase, or `MISSING`."""

    id: int
    call_id: CallId
    rule_id: int
    rule: str = field(repr=False)
    trigger: Trigger
    role: Role | None
    place: str
    start_ms: int | None
    end_ms: int | None
    at: datetime

    @property
    def data(self) -> dict[str, Json]:
        """The alert as JSON, as its live event and the API have it."""
        return {
            "id": self.id, "rule_id": self.rule_id, "rule": self.rule, "trigger": self.trigger.value,
            "role": self.role.value if self.role else None, "start_ms": self.start_ms, "end_ms": self.end_ms,
            "at": json_time(self.at),
        }  # fmt: skip

    @property
    def event(self) -> LiveEvent:
        return LiveEvent(self.call_id, EventKind.PHRASE_ALERT, self.data)


def put(
    conn: Connection,
    call_id: CallId,
    rule: PhraseRule,
    role: Role | None,
    place: str,
    at: datetime,
    span_ms: tuple[int, int] | None = None,
) -> PhraseAlertRow | None:
    """Save an alert; None, and nothing changes, if the rule has one at this place."""
    start_ms, end_ms = span_ms or (None, None)
    values = {
        "call_id": call_id, "rule_id": rule.id, "rule": rule.name, "trigger": rule.trigger, "role": role, "place": place,
        "start_ms": start_ms, "end_ms": end_ms, "at": at,
    }  # fmt: skip
    if not insert_new(conn, phrase_alerts, values):
        return None
    table = phrase_alerts.c
    mine = table.call_id == call_id, table.rule_id == rule.id, table.place == place
    return fetch_one(conn, PhraseAlertRow, select(phrase_alerts).where(*mine))


def count(conn: Connection, call_id: CallId) -> int:
    """The number of a call's alerts."""
    mine = phrase_alerts.c.call_id == call_id
    return int(conn.execute(select(func.count()).select_from(phrase_alerts).where(mine)).scalar_one())


def of_call(conn: Connection, call_id: CallId) -> list[PhraseAlertRow]:
    """In the order in which they were raised."""
    return of_calls(conn, [call_id])


def of_calls(conn: Connection, call_ids: Collection[CallId]) -> list[PhraseAlertRow]:
    """Those of several calls, in the order in which they were raised."""
    query = select(phrase_alerts).where(phrase_alerts.c.call_id.in_(list(call_ids)))
    return fetch_all(conn, PhraseAlertRow, query.order_by(phrase_alerts.c.id))


def newest(
    conn: Connection, call_ids: Collection[CallId], most: int
) -> dict[CallId, tuple[list[PhraseAlertRow], int]]:
    """The last `most` alerts of each call in the order in which they were raised, and how many it has; calls without any are left out."""
    of_call = phrase_alerts.c.call_id
    back = func.row_number().over(partition_by=of_call, order_by=phrase_alerts.c.id.desc()).label("back")
    total = func.count().over(partition_by=of_call).label("total")
    numbered = select(phrase_alerts, back, total).where(of_call.in_(list(call_ids))).subquery()
    found: dict[CallId, tuple[list[PhraseAlertRow], int]] = {}
    for row in conn.execute(select(numbered).where(numbered.c.back <= most).order_by(numbered.c.id)):
        values = dict(row._mapping)
        del values["back"]
        total_of_call = values.pop("total")
        found.setdefault(row.call_id, ([], total_of_call))[0].append(PhraseAlertRow(**values))
    return found


def raised(rule_id: int | None) -> Select[tuple[str]]:
    """The ids of calls with an alert of this rule, or with None of any, as a subquery."""
    query = select(phrase_alerts.c.call_id)
    return query if rule_id is None else query.where(phrase_alerts.c.rule_id == rule_id)


def remove_missing(conn: Connection, call_id: CallId, rule_ids: Collection[int]) -> None:
    """Remove the alerts of missing phrases that were found after all."""
    table = phrase_alerts.c
    mine = table.call_id == call_id, table.place == MISSING, table.rule_id.in_(list(rule_ids))
    conn.execute(delete(phrase_alerts).where(*mine))
