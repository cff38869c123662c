"""Endpoints that receive webhooks. Their addresses and secrets are stored sealed where a master key is set."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from callreel.domain.events import Json
from callreel.domain.webhook import ROTATION_OVERLAP, WebhookEvent
from callreel.store.db.rows import fetch_all, fetch_one
from callreel.store.db.tables import webhook_endpoints as table


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """An endpoint. `failing_since` is the first failure after the last success; `numbers` sends phone numbers in full."""

    id: int
    name: str
    url: str
    events: tuple[WebhookEvent, ...]
    numbers: bool
    secret: str
    previous_secret: str | None
    previous_until: datetime | None
    created_at: datetime
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_why: str

    def overlaps(self, at: datetime) -> bool:
        """Whether the replaced secret still signs."""
        return (
            self.previous_secret is not None and self.previous_until is not None and at < self.previous_until
        )

    def secrets(self, at: datetime) -> tuple[str, ...]:
        """The secrets that sign a webhook now, the newest first."""
        if self.previous_secret is not None and self.overlaps(at):
            return self.secret, self.previous_secret
        return (self.secret,)


def add(
    conn: Connection,
    name: str,
    url: str,
    events: Iterable[WebhookEvent],
    secret: str,
    at: datetime,
    *,
    numbers: bool,
) -> EndpointRow:
    values = {
        "name": name, "url": url, "events": _ordered(events), "numbers": numbers, "secret": secret, "created_at": at,
        "disabled_why": "",
    }  # fmt: skip
    return fetch_all(conn, EndpointRow, table.insert().values(**values).returning(*table.c))[0]


def get(conn: Connection, endpoint_id: int) -> EndpointRow | None:
    return fetch_one(conn, EndpointRow, select(table).where(table.c.id == endpoint_id))


def all_endpoints(conn: Connection) -> list[EndpointRow]:
    """Oldest first."""
    return fetch_all(conn, EndpointRow, select(table).order_by(table.c.id))


def subscribed(conn: Connection, event: WebhookEvent) -> list[int]:
    """The ids of the enabled endpoints that receive `event`."""
    query = select(table.c.id, table.c.events).where(table.c.disabled_at.is_(None)).order_by(table.c.id)
    return [row.id for row in conn.execute(query) if event in row.events]


def change(conn: Connection, endpoint_id: int, changes: dict[str, Json]) -> EndpointRow | None:
    """Change `name`, `url`, `events` or `numbers`; None without the endpoint."""
    if "events" in changes:
        changes = {**changes, "events": _ordered(map(WebhookEvent, changes["events"]))}  # type: ignore[arg-type]
    if changes:
        conn.execute(update(table).where(table.c.id == endpoint_id).values(**changes))
    return get(conn, endpoint_id)


def rotate(conn: Connection, endpoint_id: int, secret: str, at: datetime) -> bool:
    """Replace the secret; the old one signs too until the overlap ends. False without the endpoint."""
    values = {"previous_secret": table.c.secret, "previous_until": at + ROTATION_OVERLAP, "secret": secret}
    return conn.execute(update(table).where(table.c.id == endpoint_id).values(values)).rowcount == 1


def forget_previous_secrets(conn: Connection, at: datetime) -> int:
    """Delete the replaced secrets that no longer sign; returns their number."""
    ended = update(table).where(table.c.previous_until <= at)
    return conn.execute(ended.values(previous_secret=None, previous_until=None)).rowcount


def remove(conn: Connection, endpoint_id: int) -> bool:
    """Delete an endpoint with its deliveries; False without it."""
    return conn.execute(delete(table).where(table.c.id == endpoint_id)).rowcount == 1


def succeeded(conn: Connection, endpoint_id: int) -> None:
    failing = (table.c.id == endpoint_id, table.c.failing_since.is_not(None))
    conn.execute(update(table).where(*failing).values(failing_since=None))


def failed(conn: Connection, endpoint_id: int, at: datetime) -> None:
    first = (table.c.id == endpoint_id, table.c.failing_since.is_(None))
    conn.execute(update(table).where(*first).values(failing_since=at))


def disable(conn: Connection, endpoint_id: int, why: str, at: datetime) -> bool:
    """Stop sending to an endpoint; False if it is disabled already."""
    enabled = (table.c.id == endpoint_id, table.c.disabled_at.is_(None))
    return conn.execute(update(table).where(*enabled).values(disabled_at=at, disabled_why=why)).rowcount == 1


def enable(conn: Connection, endpoint_id: int) -> None:
    values = {"disabled_at": None, "disabled_why": "", "failing_since": None}
    conn.execute(update(table).where(table.c.id == endpoint_id).values(**values))


def _ordered(events: Iterable[WebhookEvent]) -> tuple[WebhookEvent, ...]:
    wanted = set(events)
    return tuple(event for event in WebhookEvent if event in wanted)
