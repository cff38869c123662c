"""The transactional outbox: workflows that must be started.

An order is written in the transaction that makes it necessary, and removed once the durable engine has the workflow. The
engine has a database of its own, and the two cannot commit together; a crash between them starts a workflow twice, which
the engine takes for once, since both have the same key.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, exists, or_, select

from callreel.domain.call import CallState
from callreel.domain.ids import CallId
from callreel.domain.transcript import TranscriptKind
from callreel.domain.work import Workflow, order_key
from callreel.store.db.tables import calls, outbox, transcripts


@dataclass(frozen=True, slots=True)
class Order:
    """One workflow that must be started. `subject` is what it works on: a recording's SID, or a call's id."""

    id: int
    call_id: CallId
    workflow: Workflow
    subject: str
    key: str
    created_at: datetime


def put(
    conn: Connection, call_id: CallId, workflow: Workflow, subject: str, at: datetime, *, once: bool = False
) -> None:
    """Order a workflow; orders on the same subject that were not started yet are replaced.

    `once`: all orders of this workflow on `subject` are the same one, however often it is ordered.
    """
    conn.execute(delete(outbox).where(outbox.c.subject == subject))
    key = subject if once else order_key(subject, secrets.token_hex(4))
    conn.execute(
        outbox.insert().values(call_id=call_id, workflow=workflow, subject=subject, key=key, created_at=at)
    )


def due(conn: Connection, live_until: datetime) -> list[Order]:
    """Orders whose workflows can start now, oldest first.

    Not while their call lives, since it would be judged before it is over; nor before its live transcript is kept,
    since the verdict compares with it. Calls that ended before `live_until` are not waited for.
    """
    live_done = exists().where(
        transcripts.c.call_id == outbox.c.call_id, transcripts.c.kind == TranscriptKind.LIVE
    )
    query = (
        select(outbox)
        .join(calls, calls.c.id == outbox.c.call_id)
        .where(
            calls.c.state != CallState.LIVE,
            or_(calls.c.state == CallState.CLOSED, calls.c.ended_at <= live_until, live_done),
        )
        .order_by(outbox.c.id)
    )
    return [Order(**row._asdict()) for row in conn.execute(query)]


def everything(conn: Connection) -> list[Order]:
    """All orders, oldest first."""
    return [Order(**row._asdict()) for row in conn.execute(select(outbox).order_by(outbox.c.id))]


def remove(conn: Connection, order: Order) -> None:
    """The durable engine has its workflow."""
    conn.execute(delete(outbox).where(outbox.c.id == order.id))


def has_order(conn: Connection, call_id: CallId) -> bool:
    """Whether a workflow for the call is still to be started."""
    return conn.execute(select(outbox.c.id).where(outbox.c.call_id == call_id)).first() is not None
