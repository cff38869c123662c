"""Deliveries: one row for each webhook and endpoint, written with its order in the transaction of what it reports.

The id is that of the webhook (`webhook-id`), the same at each attempt. Rows hold ids and codes, no phone number and no text;
erasing a call deletes the deliveries about it, except the one that reports the erasure.
"""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, exists, select, update

from callreel.domain.events import Json, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.webhook import WAIT_FOR_REDACTION, DeliveryState, WebhookEvent, webhook_of
from callreel.domain.work import Workflow
from callreel.store.calls import outbox
from callreel.store.db.rows import fetch_all, fetch_one
from callreel.store.db.tables import outbox as orders
from callreel.store.db.tables import webhook_deliveries as table
from callreel.store.webhooks import endpoints


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """`attempts` counts since it was last ordered. `status` is the last answer's, None without one; `failure` is the last error in one line."""

    id: str
    endpoint_id: int
    call_id: CallId | None
    event: WebhookEvent
    data: Mapping[str, Json]
    created_at: datetime
    state: DeliveryState
    attempts: int
    tried_at: datetime | None
    status: int | None
    failure: str


def announce_events(conn: Connection, events: Sequence[LiveEvent], at: datetime) -> None:
    """Order the webhooks that these live events cause."""
    for event in events:
        if (found := webhook_of(event)) is not None:
            announce(conn, found[0], found[1], at, event.call_id)


def announce(
    conn: Connection,
    event: WebhookEvent,
    data: Mapping[str, Json],
    at: datetime,
    call_id: CallId | None = None,
) -> None:
    """Order a webhook to each enabled endpoint that receives `event`. `call_id` is None without a call that exists."""
    for endpoint_id in endpoints.subscribed(conn, event):
        if event is WebhookEvent.TRANSCRIPT_READY:
            _withdraw_waiting(conn, endpoint_id, event, call_id)
        order(conn, endpoint_id, event, data, at, call_id)


def order(
    conn: Connection,
    endpoint_id: int,
    event: WebhookEvent,
    data: Mapping[str, Json],
    at: datetime,
    call_id: CallId | None = None,
) -> str:
    """Order a webhook to one endpoint; returns its id."""
    delivery_id = f"msg_{secrets.token_hex(12)}"
    about = {"call_id": call_id, **data} if call_id is not None else dict(data)
    conn.execute(
        table.insert().values(
            id=delivery_id, endpoint_id=endpoint_id, call_id=call_id, event=event, data=about, created_at=at,
            state=DeliveryState.PENDING, attempts=0, failure="",
        )
    )  # fmt: skip
    _put(conn, delivery_id, event, call_id, at)
    return delivery_id


def order_again(
    conn: Connection, delivery_id: str, at: datetime, of: Collection[DeliveryState] = tuple(DeliveryState)
) -> bool:
    """Order a delivery that ended, and count its attempts from 0; False if its state is none of `of`.

    Its id stays, so the receiver can tell that it is the same webhook.
    """
    values = {"state": DeliveryState.PENDING, "failure": "", "attempts": 0}
    found = (table.c.id == delivery_id, table.c.state.in_(of))
    changed = update(table).where(*found).values(values).returning(table.c.event, table.c.call_id)
    row = conn.execute(changed).one_or_none()
    if row is None:
        return False
    _put(conn, delivery_id, row.event, row.call_id, at)
    return True


def get(conn: Connection, delivery_id: str) -> DeliveryRow | None:
    return fetch_one(conn, DeliveryRow, select(table).where(table.c.id == delivery_id))


def of_endpoint(
    conn: Connection, endpoint_id: int, limit: int, before: datetime | None = None
) -> list[DeliveryRow]:
    """Up to `limit` deliveries to an endpoint, newest first; with `before`, only older ones."""
    query = select(table).where(table.c.endpoint_id == endpoint_id)
    if before is not None:
        query = query.where(table.c.created_at < before)
    return fetch_all(
        conn, DeliveryRow, query.order_by(table.c.created_at.desc(), table.c.id.desc()).limit(limit)
    )


def failed_of(conn: Connection, endpoint_id: int) -> list[str]:
    """The ids of the deliveries to an endpoint that were given up, oldest first."""
    query = select(table.c.id).where(
        table.c.endpoint_id == endpoint_id, table.c.state == DeliveryState.FAILED
    )
    return list(conn.execute(query.order_by(table.c.created_at, table.c.id)).scalars())


def note_attempt(
    conn: Connection,
    delivery_id: str,
    state: DeliveryState,
    at: datetime,
    status: int | None,
    failure: str = "",
) -> None:
    """Save the outcome of an attempt. A delivered webhook stays delivered."""
    values = {
        "state": state, "attempts": table.c.attempts + 1, "tried_at": at, "status": status, "failure": failure,
    }  # fmt: skip
    open_ones = (table.c.id == delivery_id, table.c.state != DeliveryState.DELIVERED)
    conn.execute(update(table).where(*open_ones).values(values))


def give_up(conn: Connection, delivery_id: str, failure: str) -> None:
    pending = (table.c.id == delivery_id, table.c.state == DeliveryState.PENDING)
    conn.execute(update(table).where(*pending).values(state=DeliveryState.FAILED, failure=failure))


def unordered(conn: Connection, before: datetime) -> list[str]:
    """Pending deliveries from before then that are not in the outbox, oldest first."""
    ordered = exists().where(orders.c.subject == table.c.id)
    query = select(table.c.id).where(
        table.c.state == DeliveryState.PENDING, table.c.created_at < before, ~ordered
    )
    return list(conn.execute(query.order_by(table.c.created_at)).scalars())


def delete_ended(conn: Connection, before: datetime) -> int:
    """Delete deliveries from before then that have ended; returns their number."""
    ended = (table.c.created_at < before, table.c.state != DeliveryState.PENDING)
    return conn.execute(delete(table).where(*ended)).rowcount


def _put(
    conn: Connection, delivery_id: str, event: WebhookEvent, call_id: CallId | None, at: datetime
) -> None:
    waits_for = call_id if event in WAIT_FOR_REDACTION else None
    outbox.put(conn, waits_for, Workflow.DELIVER, delivery_id, at)


def _withdraw_waiting(
    conn: Connection, endpoint_id: int, event: WebhookEvent, call_id: CallId | None
) -> None:
    """A newer transcript replaces the webhook about an older one that still waits, as for the redaction of its call."""
    same = (table.c.endpoint_id == endpoint_id, table.c.event == event, table.c.call_id == call_id)
    waiting = select(table.c.id).join(orders, orders.c.subject == table.c.id).where(*same)
    ids = list(conn.execute(waiting).scalars())
    if ids:
        conn.execute(delete(orders).where(orders.c.subject.in_(ids)))
        conn.execute(delete(table).where(table.c.id.in_(ids)))
