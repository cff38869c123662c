"""Calls as rows. A call's state only moves forward, in whatever order the carrier's callbacks arrive."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, case, exists, func, or_, select, update

from callreel.domain.call import CallState, Direction, Role, Topology
from callreel.domain.errors import NoCallError
from callreel.domain.ids import CallId, LegSid
from callreel.domain.transcript import TranscriptKind
from callreel.domain.verdict import Comparison, Reason, Verdict
from callreel.runtime.log import add_leg_to_log_lines
from callreel.store.calls import measures
from callreel.store.calls.holds import open_holds
from callreel.store.db.dialect import insert_new
from callreel.store.db.rows import fetch_all, fetch_one, values_of
from callreel.store.db.tables import calls, legs, redactions, streams, transcripts, turn_index

_ORDER = (CallState.LIVE, CallState.ENDED, CallState.CLOSED)

# Statements that run for every call, built once: building a statement costs more than running it.
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

    `language` is the code of the requested language, empty for the engine's default. `owner` is the process that
    handles the call while it is live: first the one that answered it, then the one that has its media socket.
    `imported`: recorded before Callreel, so that there never were live layers.
    `redaction_awaited`: sensitive data has not been looked for yet; `redacted_at` is when it last was, and
    `originals_destroyed_at` when the last original was destroyed. `reviewed_by` and `assigned_to` are names of people.
    Rows and files keep the recorded roles; with `roles_swapped` everything displayed has them exchanged.
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
    imported: bool = False
    owner: str | None = None
    language: str = ""
    roles_swapped: bool = False
    redaction_awaited: bool = False
    redacted_at: datetime | None = None
    originals_destroyed_at: datetime | None = None
    reviewed_at: datetime | None = None
    reviewed_by: str | None = None
    assigned_to: str | None = None

    def __post_init__(self) -> None:
        add_leg_to_log_lines(self.id, self.leg_sid)

    @property
    def topology(self) -> Topology:
        return Topology(inbound=self.inbound_role)

    @property
    def withheld(self) -> bool:
        """Whether text and audio are not shown, because they are not redacted yet."""
        return self.redaction_awaited and self.state is not CallState.LIVE

    def displayed(self, role: Role) -> Role:
        """The displayed role of a recorded one, and the recorded role of a displayed one."""
        return role.other if self.roles_swapped else role


def insert(conn: Connection, row: CallRow) -> bool:
    """Save a new call. False, and nothing changes, if its id or its parent leg exists."""
    return insert_new(conn, calls, values_of(calls, row))


def lock(conn: Connection, call_id: CallId) -> None:
    """Lock the call's row until the end of the transaction. Others can still insert rows that refer to the call."""
    conn.execute(select(calls.c.id).where(calls.c.id == call_id).with_for_update(key_share=True)).first()


def locked(conn: Connection, call_id: CallId) -> CallRow:
    """The call, locked as by `lock`: what is decided by it also holds when the transaction ends. Raises NoCallError."""
    lock(conn, call_id)
    call = get(conn, call_id)
    if call is None:
        raise NoCallError(f"there is no call {call_id}")
    return call


def get(conn: Connection, call_id: CallId) -> CallRow | None:
    return fetch_one(conn, CallRow, _BY_ID, {"call_id": call_id})


def set_language(conn: Connection, call_id: CallId, language: str) -> None:
    """Request a language from now on; empty for the engine's default."""
    conn.execute(update(calls).where(calls.c.id == call_id).values(language=language))


def set_roles_swapped(conn: Connection, call_id: CallId, swapped: bool) -> bool:
    """Display the roles swapped or as recorded, and return whether that changed anything.

    The search index, which also counts each role's speech, and the measures have the displayed roles.
    """
    changed = update(calls).where(calls.c.id == call_id, calls.c.roles_swapped != swapped)
    if conn.execute(changed.values(roles_swapped=swapped)).rowcount == 0:
        return False
    other = case((turn_index.c.role == Role.AGENT, Role.TECHNICIAN.value), else_=Role.AGENT.value)
    conn.execute(update(turn_index).where(turn_index.c.call_id == call_id).values(role=other))
    measures.swap_roles(conn, call_id)
    return True


def set_redacted(conn: Connection, call_id: CallId, at: datetime) -> None:
    """Save that sensitive data was looked for."""
    conn.execute(update(calls).where(calls.c.id == call_id).values(redacted_at=at, redaction_awaited=False))


def set_originals_destroyed(conn: Connection, call_id: CallId, at: datetime | None) -> None:
    """Save that no original is left; None: that there are some again."""
    conn.execute(update(calls).where(calls.c.id == call_id).values(originals_destroyed_at=at))


def set_reviewed(conn: Connection, call_id: CallId, by: str, at: datetime) -> bool:
    """Save who reviewed it; False if it is reviewed already."""
    first = update(calls).where(calls.c.id == call_id, calls.c.reviewed_at.is_(None))
    return conn.execute(first.values(reviewed_at=at, reviewed_by=by)).rowcount == 1


def unset_reviewed(conn: Connection, call_id: CallId) -> bool:
    """False if it is not reviewed."""
    mine = update(calls).where(calls.c.id == call_id, calls.c.reviewed_at.is_not(None))
    return conn.execute(mine.values(reviewed_at=None, reviewed_by=None)).rowcount == 1


def set_assigned(conn: Connection, call_id: CallId, name: str | None) -> bool:
    """Assign it to a person, or to no one; False if it is so already."""
    other = update(calls).where(calls.c.id == call_id, calls.c.assigned_to.is_distinct_from(name))
    return conn.execute(other.values(assigned_to=name)).rowcount == 1


def closed(conn: Connection) -> list[CallId]:
    """All closed calls, oldest first."""
    query = select(calls.c.id).where(calls.c.state == CallState.CLOSED)
    return [CallId(found) for found in conn.execute(query.order_by(calls.c.created_at, calls.c.id)).scalars()]


def to_redact(conn: Connection, *, destroy: bool) -> list[CallId]:
    """Closed calls that were not redacted yet; with `destroy` also those with redactions whose originals exist.

    Originals of held calls stay. Oldest first.
    """
    wanted: ColumnElement[bool] = calls.c.redacted_at.is_(None)
    if destroy:
        some = exists().where(redactions.c.call_id == calls.c.id, redactions.c.removed_at.is_(None))
        left = calls.c.originals_destroyed_at.is_(None) & some & calls.c.id.not_in(open_holds())
        wanted = or_(wanted, left)
    query = select(calls.c.id).where(calls.c.state == CallState.CLOSED, wanted)
    return [CallId(found) for found in conn.execute(query.order_by(calls.c.created_at, calls.c.id)).scalars()]


def by_leg(conn: Connection, leg_sid: LegSid) -> CallRow | None:
    """The call that has this leg as its parent or a child."""
    return fetch_one(conn, CallRow, _BY_LEG, {"leg": leg_sid})


def since(conn: Connection, moment: datetime) -> list[CallRow]:
    """All calls created at `moment` or later, oldest first."""
    return fetch_all(conn, CallRow, _oldest_first().where(calls.c.created_at >= moment))


def in_state(conn: Connection, state: CallState) -> list[CallRow]:
    """All calls in `state`, oldest first."""
    return fetch_all(conn, CallRow, _oldest_first().where(calls.c.state == state))


def without_stream(conn: Connection, since: datetime) -> list[CallRow]:
    """Live calls created before `since` without a stream that is open or ended after it, oldest first."""
    streamed = exists().where(
        streams.c.call_id == calls.c.id, streams.c.stopped_at.is_(None) | (streams.c.stopped_at >= since)
    )
    query = _oldest_first().where(calls.c.state == CallState.LIVE, calls.c.created_at < since, ~streamed)
    return fetch_all(conn, CallRow, query)


def without_live_transcript(conn: Connection) -> list[CallRow]:
    """Ended calls whose live transcript is not saved yet, oldest first. Imported calls have none."""
    saved = exists().where(transcripts.c.call_id == calls.c.id, transcripts.c.kind == TranscriptKind.LIVE)
    query = _oldest_first().where(calls.c.state == CallState.ENDED, calls.c.imported.is_(False), ~saved)
    return fetch_all(conn, CallRow, query)


def claim(conn: Connection, call_id: CallId, owner: str) -> bool:
    """Make `owner` the owner of a live call, regardless of its previous owner. False if the call is no longer live."""
    return conn.execute(_CLAIM, {"call_id": call_id, "new_owner": owner}).rowcount == 1


def owners_of_live(conn: Connection) -> set[str | None]:
    """The owners of all live calls."""
    query = select(calls.c.owner).where(calls.c.state == CallState.LIVE).distinct()
    return set(conn.execute(query).scalars())


def owned(conn: Connection, owner: str, state: CallState) -> list[CallId]:
    """The calls of `owner` that are in `state`."""
    query = select(calls.c.id).where(calls.c.state == state, calls.c.owner == owner)
    return [CallId(found) for found in conn.execute(query).scalars()]


def set_state(conn: Connection, call_id: CallId, state: CallState, at: datetime) -> bool:
    """Move forward to `state`, and return whether that changed anything. A call never moves back."""
    times: dict[str, Any] = {}
    if state is not CallState.LIVE:
        times["ended_at"] = func.coalesce(calls.c.ended_at, at)
    if state is CallState.CLOSED:
        times["closed_at"] = at
    earlier = _ORDER[: _ORDER.index(state)]
    moved = update(calls).where(calls.c.id == call_id, calls.c.state.in_(earlier))
    return conn.execute(moved.values(state=state, **times)).rowcount == 1


def end(conn: Connection, call_id: CallId, at: datetime, owner: str | None) -> bool:
    """End a live call of `owner`, and return whether that changed anything."""
    return conn.execute(_END, {"call_id": call_id, "of_owner": owner, "at": at}).rowcount == 1


def set_answered(conn: Connection, call_id: CallId, at: datetime) -> bool:
    """Save the first answer, and return whether this was it."""
    first = update(calls).where(calls.c.id == call_id, calls.c.answered_at.is_(None))
    return conn.execute(first.values(answered_at=at)).rowcount == 1


def set_verdict(
    conn: Connection,
    call_id: CallId,
    verdict: Verdict,
    reasons: Sequence[Reason],
    comparisons: Sequence[Comparison],
) -> None:
    """Save the result of comparing the layers. A newer verdict replaces an older one."""
    values = {"verdict": verdict, "reasons": tuple(reasons), "comparisons": tuple(comparisons)}
    conn.execute(update(calls).where(calls.c.id == call_id).values(**values))


def _oldest_first() -> Select[Any]:
    return select(calls).order_by(calls.c.created_at, calls.c.id)
