"""Calls as rows. A call's state only moves forward, in whatever order the carrier's words arrive."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, exists, func, or_, select, update

from callreel.domain.call import CallState, Direction, Role, Topology
from callreel.domain.ids import CallId, LegSid
from callreel.domain.transcript import TranscriptKind
from callreel.domain.verdict import Comparison, Reason, Verdict
from callreel.runtime.log import remember
from callreel.store.db.dialect import insert_new
from callreel.store.db.tables import calls, legs, streams, transcripts

_ORDER = (CallState.LIVE, CallState.ENDED, CallState.CLOSED)

# What each beginning and end of a call asks, made once: building a statement costs more than running it.
_BY_ID = select(calls).where(calls.c.id == bindparam("call_id"))
_BY_LEG = select(calls).where(
    or_(
        calls.c.leg_sid == bindparam("leg"),
        calls.c.id.in_(select(legs.c.call_id).where(legs.c.sid == bindparam("leg"))),
    )
)
_CLAIM = (
    update(calls)
    .where(calls.c.id == bindparam("call_id"), calls.c.state == CallState.LIVE)
    .values(owner=bindparam("new_owner"))
)
_END = (
    update(calls)
    .where(
        calls.c.id == bindparam("call_id"),
        calls.c.state == CallState.LIVE,
        calls.c.owner.is_not_distinct_from(bindparam("of_owner")),
    )
    .values(
        state=CallState.ENDED,
        ended_at=func.coalesce(calls.c.ended_at, bindparam("at", type_=calls.c.ended_at.type)),
    )
)


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call. `agent` is an identity or a name, `remote_number` the other party in E.164, `leg_sid` the parent leg.

    `language` is the code of the one that the call was asked to be heard in, empty for what the engine expects.
    `owner` is the process that looks after the call while it lives: the one that answered it, then the one that has its
    socket. None for calls of versions that had one server.
    """

    id: CallId
    direction: Direction
    agent: str
    remote_number: str = field(repr=False)
    leg_sid: LegSid
    inbound_role: Role
    created_at: datetime
    state: CallState = CallState.LIVE
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    closed_at: datetime | None = None
    verdict: Verdict | None = None
    reasons: tuple[Reason, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    demo: bool = False
    owner: str | None = None
    language: str = ""

    @property
    def topology(self) -> Topology:
        return Topology(inbound=self.inbound_role)


def insert(conn: Connection, row: CallRow) -> bool:
    """Keep a new call. False, and nothing changes, if its id or its parent leg is known already."""
    values = {name: getattr(row, name) for name in calls.c.keys()}
    values["reasons"] = [asdict(reason) for reason in row.reasons]
    values["comparisons"] = [asdict(comparison) for comparison in row.comparisons]
    return insert_new(conn, calls, values)


def lock(conn: Connection, call_id: CallId) -> None:
    """Hold every other transaction that asks for this until this one is over, but nothing that refers to the call."""
    conn.execute(select(calls.c.id).where(calls.c.id == call_id).with_for_update(key_share=True)).first()


def get(conn: Connection, call_id: CallId) -> CallRow | None:
    found = conn.execute(_BY_ID, {"call_id": call_id}).first()
    return None if found is None else row(found)


def set_language(conn: Connection, call_id: CallId, language: str) -> None:
    """What the call is to be heard in from now on; empty for what the engine expects."""
    conn.execute(update(calls).where(calls.c.id == call_id).values(language=language))


def by_leg(conn: Connection, leg_sid: LegSid) -> CallRow | None:
    """The call that any of its legs belongs to, parent or child."""
    found = conn.execute(_BY_LEG, {"leg": leg_sid}).first()
    return None if found is None else row(found)


def latest(conn: Connection, limit: int = 50, before: datetime | None = None) -> list[CallRow]:
    """Newest first; `before` is the `created_at` of the last one already seen."""
    query = select(calls).order_by(calls.c.created_at.desc(), calls.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(calls.c.created_at < before)
    return [row(found) for found in conn.execute(query)]


def since(conn: Connection, moment: datetime) -> list[CallRow]:
    """All calls made at `moment` or later, oldest first."""
    query = select(calls).where(calls.c.created_at >= moment).order_by(calls.c.created_at, calls.c.id)
    return [row(found) for found in conn.execute(query)]


def in_state(conn: Connection, state: CallState) -> list[CallRow]:
    """All calls in `state`, oldest first."""
    query = select(calls).where(calls.c.state == state).order_by(calls.c.created_at, calls.c.id)
    return [row(found) for found in conn.execute(query)]


def without_stream(conn: Connection, since: datetime) -> list[CallRow]:
    """Live calls that were answered before `since` and whose streams, if they had any, ended before, oldest first."""
    heard = exists().where(
        streams.c.call_id == calls.c.id, streams.c.stopped_at.is_(None) | (streams.c.stopped_at >= since)
    )
    query = select(calls).where(calls.c.state == CallState.LIVE, calls.c.created_at < since, ~heard)
    return [row(found) for found in conn.execute(query.order_by(calls.c.created_at, calls.c.id))]


def without_live_transcript(conn: Connection) -> list[CallRow]:
    """Calls that ended and whose live transcript was not kept yet, oldest first."""
    kept = exists().where(transcripts.c.call_id == calls.c.id, transcripts.c.kind == TranscriptKind.LIVE)
    query = (
        select(calls).where(calls.c.state == CallState.ENDED, ~kept).order_by(calls.c.created_at, calls.c.id)
    )
    return [row(found) for found in conn.execute(query)]


def claim(conn: Connection, call_id: CallId, owner: str) -> bool:
    """Make `owner` look after a live call, whoever did before; False when it lives no more."""
    return conn.execute(_CLAIM, {"call_id": call_id, "new_owner": owner}).rowcount == 1


def owners_of_live(conn: Connection) -> set[str | None]:
    """Every process that some live call names."""
    return set(
        conn.execute(select(calls.c.owner).where(calls.c.state == CallState.LIVE).distinct()).scalars()
    )


def owned(conn: Connection, owner: str, state: CallState) -> list[CallId]:
    """Calls in `state` that `owner` looks after."""
    query = select(calls.c.id).where(calls.c.state == state, calls.c.owner == owner)
    return [CallId(found) for found in conn.execute(query).scalars()]


def set_state(conn: Connection, call_id: CallId, state: CallState, at: datetime) -> bool:
    """Move forward to `state`; whether that changed anything. Going back, or standing still, changes nothing."""
    times: dict[str, Any] = {}
    if state is not CallState.LIVE:
        times["ended_at"] = func.coalesce(calls.c.ended_at, at)
    if state is CallState.CLOSED:
        times["closed_at"] = at
    earlier = _ORDER[: _ORDER.index(state)]
    moved = (
        update(calls).where(calls.c.id == call_id, calls.c.state.in_(earlier)).values(state=state, **times)
    )
    return conn.execute(moved).rowcount == 1


def end(conn: Connection, call_id: CallId, at: datetime, owner: str | None) -> bool:
    """The end of a live call that `owner` looks after; whether that changed anything."""
    return conn.execute(_END, {"call_id": call_id, "of_owner": owner, "at": at}).rowcount == 1


def set_answered(conn: Connection, call_id: CallId, at: datetime) -> bool:
    """The first answer counts; whether this was it."""
    answered = (
        update(calls).where(calls.c.id == call_id, calls.c.answered_at.is_(None)).values(answered_at=at)
    )
    return conn.execute(answered).rowcount == 1


def set_verdict(
    conn: Connection,
    call_id: CallId,
    verdict: Verdict,
    reasons: Sequence[Reason],
    comparisons: Sequence[Comparison],
) -> None:
    """Keep what comparing the layers said; a newer verdict replaces an older one."""
    conn.execute(
        update(calls)
        .where(calls.c.id == call_id)
        .values(
            verdict=verdict,
            reasons=[asdict(reason) for reason in reasons],
            comparisons=[asdict(comparison) for comparison in comparisons],
        )
    )


def row(found: Row[Any]) -> CallRow:
    """A row of the table as we use it."""
    values = found._asdict()
    remember(values["id"], values["leg_sid"])
    values["reasons"] = tuple(_reason(**kept) for kept in values["reasons"])
    values["comparisons"] = tuple(_comparison(**kept) for kept in values["comparisons"])
    return CallRow(**values)


def _reason(role: str | None, **kept: Any) -> Reason:
    return Reason(role=None if role is None else Role(role), **kept)


def _comparison(role: str, **kept: Any) -> Comparison:
    return Comparison(role=Role(role), **kept)
