"""The transactional outbox: workflows to be started.

An order is inserted in the transaction that makes it necessary, and deleted once the durable engine has the workflow. The
engine has its own database, so the two cannot commit together. A crash in between starts a workflow again, which the
engine ignores because the key is the same.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, and_, delete, exists, func, or_, select

from callreel.domain.call import CallState
from callreel.domain.ids import CallId
from callreel.domain.transcript import TranscriptKind
from callreel.domain.work import Workflow, order_key
from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import calls, outbox, transcripts

MOST_IMPORTED = 8
"""Imported calls that are worked on at once, so that the thousands of an archive do not delay today's calls."""


@dataclass(frozen=True, slots=True)
class Order:
    """A workflow to be started. `subject` is a recording's SID, a call's id or a webhook's.

    `call_id` is the call that it waits for; None if it waits for none.
    """

    id: int
    call_id: CallId | None
    workflow: Workflow
    subject: str
    key: str
    created_at: datetime


def put(
    conn: Connection,
    call_id: CallId | None,
    workflow: Workflow,
    subject: str,
    at: datetime,
    *,
    once: bool = False,
) -> None:
    """Order a workflow, in place of pending orders for the same subject; an analysis replaces only analyses.

    With `once`, the engine runs this workflow only once for `subject`, however often it is ordered.
    """
    analysis = workflow is Workflow.ANALYSE
    same = (outbox.c.workflow == Workflow.ANALYSE) if analysis else (outbox.c.workflow != Workflow.ANALYSE)
    conn.execute(delete(outbox).where(outbox.c.subject == subject, same))
    key = subject if once else order_key(subject, secrets.token_hex(4))
    conn.execute(
        outbox.insert().values(call_id=call_id, workflow=workflow, subject=subject, key=key, created_at=at)
    )


def due(conn: Connection, live_until: datetime) -> list[Order]:
    """Orders whose workflows can start now, oldest first.

    An order waits until its call has ended, and until its live transcript is saved, since the verdict compares both. Calls
    that ended before `live_until` and imported ones do not wait for the transcript. A webhook waits only for the redaction of
    its call, if for anything. Of imported calls, no more than `MOST_IMPORTED` are worked on at once.
    """
    live_done = exists().where(
        transcripts.c.call_id == outbox.c.call_id, transcripts.c.kind == TranscriptKind.LIVE
    )
    query = (
        select(outbox)
        .outerjoin(calls, calls.c.id == outbox.c.call_id)
        .where(
            or_(calls.c.id.is_(None), ~_IMPORTED, outbox.c.id.in_(_imported_due(conn))),
            or_(
                outbox.c.call_id.is_(None),
                and_(outbox.c.workflow == Workflow.DELIVER, calls.c.redaction_awaited.is_(False)),
                and_(
                    outbox.c.workflow != Workflow.DELIVER,
                    calls.c.state != CallState.LIVE,
                    or_(
                        calls.c.state == CallState.CLOSED,
                        calls.c.ended_at <= live_until,
                        calls.c.imported,
                        live_done,
                    ),
                ),
            ),
        )
        .order_by(outbox.c.id)
    )
    return fetch_all(conn, Order, query)


_IMPORTED = calls.c.imported & (outbox.c.workflow == Workflow.DOWNLOAD)


def _imported_due(conn: Connection) -> Select[tuple[int]]:
    """The oldest orders of imported calls for which there is room beside those that are worked on."""
    waits = exists().where(outbox.c.call_id == calls.c.id)
    worked_on = select(func.count()).where(calls.c.imported, calls.c.state == CallState.ENDED, ~waits)
    room = max(0, MOST_IMPORTED - conn.execute(worked_on).scalar_one())
    oldest = select(outbox.c.id).join(calls, calls.c.id == outbox.c.call_id).where(_IMPORTED)
    return select(oldest.order_by(outbox.c.id).limit(room).subquery().c.id)


def all_orders(conn: Connection) -> list[Order]:
    """All orders, oldest first."""
    return fetch_all(conn, Order, select(outbox).order_by(outbox.c.id))


def remove(conn: Connection, order: Order) -> None:
    """Delete an order whose workflow the durable engine has."""
    conn.execute(delete(outbox).where(outbox.c.id == order.id))


def has_order(conn: Connection, call_id: CallId) -> bool:
    """Whether work on the call is ordered."""
    query = select(outbox.c.id).where(outbox.c.call_id == call_id, outbox.c.workflow != Workflow.DELIVER)
    return conn.execute(query).first() is not None
