"""Webhook endpoints: added, changed and tested by administrators, with their deliveries.

A secret is shown when it is made and never again.
"""

import base64
import secrets
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Response
from fastapi.responses import JSONResponse
from pydantic import Field
from sqlalchemy import Connection

from callreel.domain.access import Right
from callreel.domain.events import Json
from callreel.domain.json_time import json_time
from callreel.domain.webhook import SUBSCRIBABLE, DeliveryState, WebhookEvent
from callreel.domain.work import Workflow
from callreel.runtime.outgoing import AddressRefusedError, check_outside
from callreel.store.audit.pending import describe
from callreel.store.webhooks import deliveries, endpoints
from callreel.store.webhooks.deliveries import DeliveryRow
from callreel.store.webhooks.endpoints import EndpointRow
from callreel.web.auth.person import Person
from callreel.web.dependencies import Context, CurrentPerson
from callreel.web.errors import ForbiddenError, InvalidError, RequestConflictError, existing, not_found
from callreel.web.values import Body, RowId

MOST_ENDPOINTS: Final = 50
SHOWN: Final = 100
SECRET_BYTES: Final = 32
"""The specification asks for 24 to 64 bytes."""

routes = APIRouter(tags=["webhooks"])

Events = Annotated[set[WebhookEvent], Field(min_length=1)]
DeliveryId = Annotated[str, Path(pattern="^msg_[0-9a-f]{24}$")]


class NewEndpoint(Body):
    """An address that receives webhooks. `numbers`: with phone numbers in full instead of masked."""

    name: str = Field(min_length=1, max_length=100)
    url: str = Field(min_length=1, max_length=2000)
    events: Events
    numbers: bool = False


class EndpointChange(Body):
    """What is to be changed. Enabling a disabled endpoint forgets its failures."""

    name: str | None = Field(default=None, min_length=1, max_length=100)
    url: str | None = Field(default=None, min_length=1, max_length=2000)
    events: Events | None = None
    numbers: bool | None = None
    disabled: bool | None = None


def _existing(endpoint_id: RowId, context: Context) -> EndpointRow:
    with context.database.read() as conn:
        return existing("endpoint", endpoints.get(conn, endpoint_id))


Endpoint = Annotated[EndpointRow, Depends(_existing)]


@routes.get("/api/v1/webhooks")
def all_endpoints(context: Context) -> JSONResponse:
    """All endpoints, oldest first, and the events that they can receive."""
    with context.database.read() as conn:
        rows = endpoints.all_endpoints(conn)
    return JSONResponse({"endpoints": [_endpoint(row) for row in rows], "events": list(SUBSCRIBABLE)})


@routes.post("/api/v1/webhooks", status_code=201)
def add(context: Context, person: CurrentPerson, wanted: NewEndpoint) -> JSONResponse:
    """Add an endpoint; only this answer contains its secret. `numbers` needs the right to read all calls."""
    _check(context, wanted.url, wanted.events)
    if wanted.numbers:
        _check_numbers(person)
    secret = _new_secret()
    with context.database.write() as conn:
        if len(endpoints.all_endpoints(conn)) >= MOST_ENDPOINTS:
            raise RequestConflictError(f"there are {MOST_ENDPOINTS} endpoints already; remove one first")
        row = endpoints.add(
            conn, wanted.name, wanted.url, wanted.events, secret, context.clock.now(), numbers=wanted.numbers
        )
        _describe(row)
    return JSONResponse({**_endpoint(row), "secret": secret}, 201, headers={"Cache-Control": "no-store"})


@routes.patch("/api/v1/webhooks/{endpoint_id}")
def change(
    context: Context, person: CurrentPerson, endpoint: Endpoint, wanted: EndpointChange
) -> JSONResponse:
    """Change an endpoint. `numbers`, and another `url` for them, need the right to read all calls."""
    _check(context, wanted.url, wanted.events)
    moved = wanted.url is not None and wanted.url != endpoint.url
    if wanted.numbers or (moved and endpoint.numbers and wanted.numbers is None):
        _check_numbers(person)
    changes = wanted.model_dump(exclude_none=True, mode="json")
    disabled = changes.pop("disabled", None)
    with context.database.write() as conn:
        if disabled is True:
            endpoints.disable(conn, endpoint.id, "by an administrator", context.clock.now())
        elif disabled is False:
            endpoints.enable(conn, endpoint.id)
        row = existing("endpoint", endpoints.change(conn, endpoint.id, changes))
        _describe(row)
        describe(address_changed=moved)
    return JSONResponse(_endpoint(row))


@routes.delete("/api/v1/webhooks/{endpoint_id}", status_code=204)
def remove(context: Context, endpoint: Endpoint) -> Response:
    """Remove an endpoint with its deliveries; those that wait are not sent."""
    with context.database.write() as conn:
        endpoints.remove(conn, endpoint.id)
    return Response(status_code=204)


@routes.post("/api/v1/webhooks/{endpoint_id}/rotate")
def rotate(context: Context, endpoint: Endpoint, force: bool = False) -> JSONResponse:
    """Replace the secret. Only this answer contains the new one; the old one signs too for a day.

    Within that day it is replaced again only with `force`: the one before it stops signing at once.
    """
    secret, now = _new_secret(), context.clock.now()
    with context.database.write() as conn:
        before = endpoints.get(conn, endpoint.id)
        if before is not None and before.overlaps(now) and not force:
            raise RequestConflictError("the secret was replaced less than a day ago")
        endpoints.rotate(conn, endpoint.id, secret, now)
        row = existing("endpoint", endpoints.get(conn, endpoint.id))
    return JSONResponse({**_endpoint(row), "secret": secret}, headers={"Cache-Control": "no-store"})


@routes.post("/api/v1/webhooks/{endpoint_id}/test", status_code=202)
def test(context: Context, endpoint: Endpoint) -> JSONResponse:
    """Send a test webhook; its delivery says whether it arrived."""
    if endpoint.disabled_at is not None:
        raise RequestConflictError("the endpoint is disabled; enable it first")
    with context.database.write() as conn:
        about: dict[str, Json] = {"endpoint": endpoint.name}
        delivery_id = deliveries.order(conn, endpoint.id, WebhookEvent.TEST, about, context.clock.now())
    return JSONResponse({"delivery": delivery_id}, 202)


@routes.get("/api/v1/webhooks/{endpoint_id}/deliveries")
def of_endpoint(context: Context, endpoint: Endpoint, before: datetime | None = None) -> JSONResponse:
    """Deliveries to an endpoint, newest first; `before` continues a list at its oldest `created_at`."""
    if before is not None and before.tzinfo is None:
        raise InvalidError("`before` needs a time with its zone, such as 2026-11-29T12:00:00Z")
    with context.database.read() as conn:
        rows = deliveries.of_endpoint(conn, endpoint.id, SHOWN, before)
    return JSONResponse({"deliveries": [_delivery(row) for row in rows]})


@routes.post("/api/v1/webhooks/{endpoint_id}/deliveries/{delivery_id}/send", status_code=202)
def send_again(context: Context, endpoint: Endpoint, delivery_id: DeliveryId) -> JSONResponse:
    """Send a webhook again, or now if it waits for its next attempt; 409 while it is being sent. Its id stays."""
    with context.database.read() as conn:
        row = deliveries.get(conn, delivery_id)
    if row is None or row.endpoint_id != endpoint.id:
        raise not_found("delivery")
    if not context.work.run_now(Workflow.DELIVER, delivery_id):
        if context.work.unfinished(delivery_id):
            raise RequestConflictError("the webhook is being sent already")
        with context.database.write() as conn:
            _order_again(conn, context, [delivery_id])
    return JSONResponse({"delivery": delivery_id}, 202)


@routes.post("/api/v1/webhooks/{endpoint_id}/send-failed", status_code=202)
def send_failed(context: Context, endpoint: Endpoint) -> JSONResponse:
    """Send all webhooks again that were given up, for example after a receiver was away for days."""
    with context.database.write() as conn:
        failed = deliveries.failed_of(conn, endpoint.id)
        _order_again(conn, context, failed)
        describe(deliveries=len(failed))
    return JSONResponse({"deliveries": len(failed)}, 202)


def _order_again(conn: Connection, context: Context, ids: list[str]) -> None:
    for delivery_id in ids:
        deliveries.order_again(conn, delivery_id, context.clock.now())


def _check(context: Context, url: str | None, events: set[WebhookEvent] | None) -> None:
    if events and WebhookEvent.TEST in events:
        raise InvalidError("a test is sent by its own button or route, not as one of the `events`")
    if url is None:
        return
    try:
        check_outside(url, context.options.webhook_inside_hosts)
    except AddressRefusedError as refused:
        hint = "a receiver in your own network needs CALLREEL_WEBHOOK_INSIDE_HOSTS"
        raise InvalidError(f"the URL is refused: {refused}; {hint}") from None


def _check_numbers(person: Person) -> None:
    if not (person.may(Right.READ_CALLS) and person.may(Right.READ_ALL_CALLS)):
        raise ForbiddenError("phone numbers in full need the right to read all calls")


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _describe(row: EndpointRow) -> None:
    """The entry of the audit trail: never the address, which may contain a secret."""
    describe(
        subject=str(row.id),
        name=row.name,
        events=[event.value for event in row.events],
        numbers=row.numbers,
        disabled=row.disabled_at is not None,
    )


def _endpoint(row: EndpointRow) -> dict[str, Json]:
    return {
        "id": row.id,
        "name": row.name,
        "url": row.url,
        "events": [event.value for event in row.events],
        "numbers": row.numbers,
        "created_at": json_time(row.created_at),
        "failing_since": json_time(row.failing_since),
        "disabled_at": json_time(row.disabled_at),
        "disabled_why": row.disabled_why,
        "previous_secret_until": json_time(row.previous_until),
    }


def _delivery(row: DeliveryRow) -> dict[str, Json]:
    return {
        "id": row.id,
        "event": row.event.value,
        "call_id": row.call_id,
        "data": dict(row.data),
        "created_at": row.created_at.isoformat(),  # in full: a list continues at it
        "state": row.state.value,
        "attempts": row.attempts,
        "tried_at": json_time(row.tried_at),
        "status": row.status,
        "failure": row.failure if row.state is not DeliveryState.DELIVERED else "",
    }
