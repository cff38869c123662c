"""Sends webhooks by the Standard Webhooks specification: signed, with a stable id, repeated until the receiver answers 2xx.

Each delivery is a durable workflow. Its attempts are spaced by `runtime/retry`'s back-off over about three days; after that
only a person sends it again. The receiver's answer is not read beyond its status.
"""

import json
import logging
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Final

import httpx2
from sqlalchemy import Connection
from standardwebhooks import Webhook

from callreel.domain.audit import AuditAction, AuditEvent
from callreel.domain.errors import CallreelError
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.domain.webhook import DISABLE_AFTER, DeliveryState, WebhookEvent
from callreel.domain.work import Workflow, subject_of
from callreel.postcall.durable import DurableEngine, RetryPolicy, StepFailedError, Steps
from callreel.runtime.clock import Clock
from callreel.runtime.outgoing import AddressRefusedError
from callreel.runtime.retry import LAST_ATTEMPT, LONGEST_S, Backoff, Retry
from callreel.store.audit import trail
from callreel.store.calls import calls
from callreel.store.db.database import Database
from callreel.store.webhooks import deliveries, endpoints
from callreel.store.webhooks.deliveries import DeliveryRow
from callreel.store.webhooks.endpoints import EndpointRow
from callreel.twilio.dial_policy import mask

log = logging.getLogger(__name__)

QUEUE: Final = "webhook"
AT_ONCE: Final = 16
"""Deliveries in progress in one process: an endpoint that stalls holds each for the timeout."""
AT_ONCE_EACH: Final = 4
"""Of these to one endpoint, so that one that stalls leaves room for the others."""
_SLOT_WAIT_S: Final = 0.2
"""An endpoint that works ends an attempt in about that time; waiting that long costs less than putting off."""
_BACKOFF: Final = Backoff(1.0, LONGEST_S)
_PUT_OFF: Final = Backoff(2.0, 300.0)


class DeliveryError(CallreelError):
    """An attempt failed. `final` says that another attempt is pointless; `retry_after_s` is the wait that was requested.

    `failure` is its number, from 1, where that is not the number of the workflow's attempt.
    """

    def __init__(
        self, message: str, *, final: bool = False, retry_after_s: float = 0.0, failure: int | None = None
    ) -> None:
        super().__init__(message)
        self.final = final
        self.retry_after_s = retry_after_s
        self.failure = failure


class EndpointBusyError(CallreelError):
    """An attempt was put off, since enough others to its endpoint are in progress."""


def decide(error: Exception, failure: int, *, jitter: float | None = None) -> Retry:
    """The decision after failure number `failure` (from 1) of one delivery. Nothing is parked: endpoints have a page of their own."""
    reason = str(error) if isinstance(error, CallreelError) else type(error).__name__
    jitter = random.random() if jitter is None else jitter
    if isinstance(error, EndpointBusyError):
        return Retry(reason, _PUT_OFF.after_s(failure, jitter))
    if isinstance(error, DeliveryError) and error.failure is not None:
        failure = error.failure  # attempts that were put off are not among them
    if failure > LAST_ATTEMPT or (isinstance(error, DeliveryError) and error.final):
        return Retry(reason, None)
    requested_s = error.retry_after_s if isinstance(error, DeliveryError) else 0.0
    wait_s = _BACKOFF.after_s(failure, jitter)
    return Retry(reason, max(wait_s, min(requested_s, LONGEST_S)))


class WebhookSender:
    """The workflow of a delivery. Blocking; safe from any thread."""

    def __init__(self, database: Database, clock: Clock, client: httpx2.Client, public_url: str) -> None:
        """`client` refuses addresses inside our network and follows no redirects (`runtime/outgoing`)."""
        self._database = database
        self._clock = clock
        self._client = client
        self._public_url = public_url.rstrip("/")
        self._slots: dict[int, threading.Semaphore] = {}

    def register(self, engine: DurableEngine, policy: RetryPolicy = decide) -> None:
        """Make the workflow known, before the engine is launched."""
        engine.register(Workflow.DELIVER, self.deliver, queue=QUEUE, decide=policy)

    def deliver(self, steps: Steps, key: str) -> None:
        """Send one webhook to one endpoint."""
        delivery_id = subject_of(key)
        try:
            steps.run("send", lambda: self.send(delivery_id))
        except StepFailedError as failed:
            if failed.retry.after_s is None:
                reason = failed.retry.reason
                steps.run("give up", lambda: self._give_up(delivery_id, reason))
            raise

    def send(self, delivery_id: str) -> None:
        """One attempt. Does nothing if the webhook was delivered, or deleted with its call.

        Raises DeliveryError and EndpointBusyError.
        """
        with self._database.read() as conn:
            row = deliveries.get(conn, delivery_id)
            endpoint = endpoints.get(conn, row.endpoint_id) if row is not None else None
            number = _number(conn, row) if row is not None else None
        if row is None or endpoint is None or row.state is DeliveryState.DELIVERED:
            return
        if endpoint.disabled_at is not None:
            raise DeliveryError("the endpoint is disabled", final=True)
        body = webhook_body(row, number, endpoint.numbers, self._public_url)
        with self._slot(endpoint):
            status, error = self._post(row, endpoint, body)
        self._note(row, endpoint, status, error)
        if error is not None:
            error.failure = row.attempts + 1
            raise error

    @contextmanager
    def _slot(self, endpoint: EndpointRow) -> Iterator[None]:
        slots = self._slots.setdefault(endpoint.id, threading.Semaphore(AT_ONCE_EACH))
        if not slots.acquire(timeout=_SLOT_WAIT_S):
            raise EndpointBusyError("other webhooks are being sent to this endpoint")
        try:
            yield
        finally:
            slots.release()

    def _post(
        self, row: DeliveryRow, endpoint: EndpointRow, body: str
    ) -> tuple[int | None, DeliveryError | None]:
        headers = signed_headers(row.id, endpoint, body, self._clock)
        try:
            with self._client.stream(
                "POST", endpoint.url, content=body.encode(), headers=headers
            ) as response:
                status = response.status_code
        except AddressRefusedError as refused:
            return None, DeliveryError(str(refused))
        except httpx2.InvalidURL:
            return None, DeliveryError("the endpoint's address is invalid")
        except (httpx2.TransportError, OSError) as error:
            return None, DeliveryError(f"the endpoint did not answer ({type(error).__name__})")
        if 200 <= status < 300:
            return status, None
        wait_s = _requested_wait_s(response.headers, self._clock) if status in (429, 502, 503, 504) else 0.0
        return status, DeliveryError(
            f"the endpoint answered {status}", final=status == httpx2.codes.GONE, retry_after_s=wait_s
        )

    def _note(
        self, row: DeliveryRow, endpoint: EndpointRow, status: int | None, error: DeliveryError | None
    ) -> None:
        now = self._clock.now()
        with self._database.write() as conn:
            if error is None:
                deliveries.note_attempt(conn, row.id, DeliveryState.DELIVERED, now, status)
                endpoints.succeeded(conn, endpoint.id)
                return
            deliveries.note_attempt(conn, row.id, DeliveryState.PENDING, now, status, str(error))
            endpoints.failed(conn, endpoint.id, now)
            long = endpoint.failing_since is not None and now - endpoint.failing_since > DISABLE_AFTER
            if error.final or long:
                why = (
                    "it answered 410 Gone"
                    if error.final
                    else f"no delivery succeeded for {DISABLE_AFTER.days} days"
                )
                self._disable(conn, endpoint, why)

    def _disable(self, conn: Connection, endpoint: EndpointRow, why: str) -> None:
        now = self._clock.now()
        if not endpoints.disable(conn, endpoint.id, why, now):
            return
        trail.record(
            conn, AuditEvent(now, AuditAction.WEBHOOK_DISABLED, "", subject=str(endpoint.id), reason=why)
        )
        about: dict[str, Json] = {"alert": "webhook_disabled", "endpoint": endpoint.name, "detail": why}
        deliveries.announce(conn, WebhookEvent.ALERT, about, now)
        log.error("webhook endpoint disabled endpoint=%d: %s", endpoint.id, why)

    def _give_up(self, delivery_id: str, reason: str) -> None:
        with self._database.write() as conn:
            deliveries.give_up(conn, delivery_id, reason)
        log.error("webhook not delivered id=%s: %s", delivery_id, reason)


def signed_headers(delivery_id: str, endpoint: EndpointRow, body: str, clock: Clock) -> dict[str, str]:
    """Headers of one attempt; while a rotation overlaps, with a signature by each secret."""
    now = clock.now()
    signatures = [Webhook(secret).sign(delivery_id, now, body) for secret in endpoint.secrets(now)]
    return {
        "Content-Type": "application/json",
        "User-Agent": "Callreel-Webhooks",
        "webhook-id": delivery_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def webhook_body(row: DeliveryRow, number: str | None, in_full: bool, public_url: str) -> str:
    """The JSON of a webhook. `number` is the other party's, masked unless `in_full`."""
    data = dict(row.data)
    if "check" in data:
        data["url"] = f"{public_url}/operations"
    if "budget" in data:
        data["url"] = f"{public_url}/statistics"
    if row.call_id is not None:
        if number is not None:
            data["remote_number"] = number if in_full else mask(number)
        data["url"] = f"{public_url}/calls/{row.call_id}"
        data["api_url"] = f"{public_url}/api/v1/calls/{row.call_id}"
    timestamp = row.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"type": row.event.value, "timestamp": timestamp, "data": data})


def alert_recorder(database: Database, clock: Clock) -> Callable[[str, str, bool], None]:
    """Orders an alert when a health check starts or stops failing: its name, the problem, and whether it fails.

    The alert does not say the problem, which may be the text of an exception; the operations page does.
    """

    def record(check: str, _what: str, failing: bool) -> None:
        alert = "health_check_failed" if failing else "health_check_recovered"
        about: dict[str, Json] = {"alert": alert, "check": check}
        try:
            with database.write() as conn:
                deliveries.announce(conn, WebhookEvent.ALERT, about, clock.now())
        except CallreelError as error:
            log.warning("alert not recorded check=%s: %s", check, error)

    return record


def _number(conn: Connection, row: DeliveryRow) -> str | None:
    call = calls.get(conn, CallId(row.call_id)) if row.call_id is not None else None
    return call.remote_number if call is not None else None


def _requested_wait_s(headers: Mapping[str, str], clock: Clock) -> float:
    """The wait of `Retry-After`, in seconds or until a date; 0 without one."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdecimal():
        return float(value[:9])
    try:
        return max(0.0, (parsedate_to_datetime(value) - clock.now()).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return 0.0
