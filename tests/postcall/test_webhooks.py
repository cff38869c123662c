"""Webhooks: which events cause them, when they may go, how they are signed, and what a failing endpoint leads to."""

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from standardwebhooks import Webhook

from callreel.domain.audit import AuditAction
from callreel.domain.call import CallState
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId, LegSid
from callreel.domain.webhook import DISABLE_AFTER, ROTATION_OVERLAP, DeliveryState, WebhookEvent, webhook_of
from callreel.domain.work import Workflow, WorkItem
from callreel.ops.health import Health
from callreel.postcall.webhooks import (
    AT_ONCE_EACH,
    DeliveryError,
    EndpointBusyError,
    WebhookSender,
    alert_recorder,
    decide,
)
from callreel.postcall.workflows import LOST_AFTER, Dispatcher
from callreel.runtime.outgoing import OutsideTransport, outside_client
from callreel.runtime.retry import LAST_ATTEMPT
from callreel.store.audit import trail
from callreel.store.calls import calls, erasures, outbox
from callreel.store.webhooks import deliveries, endpoints
from callreel.store.webhooks.deliveries import DeliveryRow
from tests.support.fake_engine import FakeEngine
from tests.support.installation import NOON, Installation, a_call

CALL = CallId("000000000001")
SECRET, NEXT_SECRET = "whsec_" + "Q" * 44, "whsec_" + "R" * 44
PUBLIC = "https://calls.example"


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        (EventKind.CALL, {"state": "live", "direction": "outgoing"}, ("call.started", {})),
        (EventKind.CALL, {"leg": "technician", "status": "ringing", "answered": False}, None),
        (
            EventKind.CALL,
            {"leg": "technician", "status": "in-progress", "answered": True},
            ("call.answered", {}),
        ),
        (EventKind.CALL, {"state": "ended"}, ("call.ended", {})),
        (EventKind.CALL, {"state": "closed"}, None),
        (EventKind.CALL, {"held": True}, None),
        (
            EventKind.RECORDING,
            {"recording_sid": "RE1", "state": "stored", "error_code": None},
            ("recording.stored", {"recording_sid": "RE1", "state": "stored", "error_code": None}),
        ),
        (
            EventKind.RECORDING,
            {"recording_sid": "RE1", "state": "failed", "error_code": 31},
            ("recording.failed", {"recording_sid": "RE1", "state": "failed", "error_code": 31}),
        ),
        (EventKind.RECORDING, {"recording_sid": "RE1", "state": "in_progress", "error_code": None}, None),
        (
            EventKind.TRANSCRIPT,
            {"kind": "final", "turns": 3},
            ("transcript.ready", {"turns": 3, "revision": 0}),
        ),
        (EventKind.TRANSCRIPT, {"kind": "live", "turns": 3}, None),
        (
            EventKind.VERDICT,
            {"verdict": "suspect", "reasons": [{"code": "drift", "detail": "the agent's clock"}]},
            ("verdict", {"verdict": "suspect", "reasons": ["drift"]}),
        ),
        (
            EventKind.STAGE,
            {"stage": "download", "state": "parked", "reason": "the carrier answered 500"},
            ("alert", {"alert": "work_parked", "stage": "download"}),
        ),
        (
            EventKind.PHRASE_ALERT,
            {
                "id": 3,
                "rule_id": 1,
                "rule": "Refund",
                "trigger": "said",
                "role": "agent",
                "start_ms": 9,
                "end_ms": 30,
            },
            (
                "phrase_alert",
                {
                    "alert_id": 3,
                    "rule_id": 1,
                    "trigger": "said",
                    "role": "agent",
                    "start_ms": 9,
                    "end_ms": 30,
                },
            ),
        ),
        (EventKind.STAGE, {"stage": "download", "state": "done", "reason": None}, None),
        (EventKind.FINAL, {"text": "close the valve"}, None),
        (EventKind.NOTE, {"change": "added"}, None),
    ],
)
def test_live_event_causes_its_webhook(
    kind: EventKind, data: dict[str, Json], expected: tuple[str, dict[str, Json]] | None
) -> None:
    assert webhook_of(LiveEvent(CALL, kind, data)) == expected


def test_waits_double_then_the_delivery_is_given_up() -> None:
    failed = DeliveryError("the endpoint answered 500")
    waits = [decide(failed, failure, jitter=1.0).after_s for failure in (1, 2, 3, 10, 20, LAST_ATTEMPT)]
    assert waits == [1, 2, 4, 512, 14_400, 14_400]
    assert decide(failed, LAST_ATTEMPT + 1).after_s is None
    assert decide(DeliveryError("gone", final=True), 1).after_s is None
    assert decide(DeliveryError("busy", retry_after_s=90.0), 1, jitter=1.0).after_s == 90
    assert decide(DeliveryError("busy", retry_after_s=1e9), 1, jitter=1.0).after_s == 14_400
    assert not any(decide(failed, failure).parked for failure in (1, LAST_ATTEMPT, LAST_ATTEMPT + 1))


class Office:
    """An installation with one endpoint, whose answers are scripted, and the workflows that send to it."""

    def __init__(self, installation: Installation, *, numbers: bool = False) -> None:
        self.place = installation
        self.requests: list[httpx2.Request] = []
        self.answers: list[int] = []
        self.headers: dict[str, str] = {}
        self.engine = FakeEngine(
            clock=installation.clock, policy=lambda error, n: decide(error, n, jitter=1.0)
        )
        client = httpx2.Client(transport=httpx2.MockTransport(self._answer))
        self.sender = WebhookSender(installation.database, installation.clock, client, PUBLIC)
        self.engine.bodies[Workflow.DELIVER] = self.sender.deliver
        self.dispatcher = Dispatcher(installation.database, self.engine, installation.clock)
        with installation.database.write() as conn:
            self.endpoint = endpoints.add(
                conn, "crm", "https://crm.example/in?key=1", WebhookEvent, SECRET, NOON, numbers=numbers
            ).id

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return httpx2.Response(self.answers.pop(0) if self.answers else 204, headers=self.headers)

    def work(self) -> None:
        self.dispatcher.sweep()
        self.engine.work()

    def rows(self) -> list[DeliveryRow]:
        with self.place.database.read() as conn:
            return deliveries.of_endpoint(conn, self.endpoint, 100)[::-1]

    def announce(self, event: WebhookEvent = WebhookEvent.VERDICT, **data: Json) -> None:
        with self.place.database.write() as conn:
            deliveries.announce(conn, event, data, self.place.clock.now())

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.requests]

    def types(self) -> list[str]:
        return [body["type"] for body in self.bodies()]


@pytest.fixture
def office(installation: Installation) -> Office:
    return Office(installation)


def signatures(request: httpx2.Request) -> list[str]:
    return [str(one) for one in request.headers["webhook-signature"].split(" ")]


def expected_signature(request: httpx2.Request, secret: str, office: Office) -> str:
    when = office.place.clock.now()
    assert request.headers["webhook-timestamp"] == str(int(when.timestamp()))
    return Webhook(secret).sign(request.headers["webhook-id"], when, request.content.decode())


def test_call_goes_out_signed_with_its_ids_and_a_masked_number(office: Office) -> None:
    call = a_call(office.place)
    office.work()
    [request], [row] = office.requests, office.rows()
    assert signatures(request) == [expected_signature(request, SECRET, office)]
    assert request.headers["webhook-id"] == row.id
    assert json.loads(request.content) == {
        "type": "call.started",
        "timestamp": "2026-11-22T12:00:00.000Z",
        "data": {
            "call_id": call.id,
            "remote_number": "+1…23",
            "url": f"{PUBLIC}/calls/{call.id}",
            "api_url": f"{PUBLIC}/api/v1/calls/{call.id}",
        },
    }
    assert (row.state, row.attempts, row.status) == (DeliveryState.DELIVERED, 1, 204)


def test_number_goes_out_in_full_on_request(installation: Installation) -> None:
    office = Office(installation, numbers=True)
    call = a_call(installation)
    office.work()
    assert office.bodies()[0]["data"]["remote_number"] == call.remote_number
    assert all(call.remote_number not in str(row.data) for row in office.rows()), "rows never have it"


def test_no_webhook_of_a_change_that_was_rolled_back(office: Office) -> None:
    a_call(office.place)
    before = len(office.rows())
    with pytest.raises(RuntimeError), office.place.database.write() as conn:
        office.place.publisher.record(conn, LiveEvent(CALL, EventKind.CALL, {"state": "ended"}))
        raise RuntimeError
    assert len(office.rows()) == before


def test_only_subscribed_and_enabled_endpoints_receive_an_event(office: Office) -> None:
    with office.place.database.write() as conn:
        endpoints.change(conn, office.endpoint, {"events": ["call.ended"]})
    office.announce(WebhookEvent.VERDICT)
    assert office.rows() == []
    office.announce(WebhookEvent.CALL_ENDED)
    with office.place.database.write() as conn:
        endpoints.disable(conn, office.endpoint, "by an administrator", NOON)
    office.announce(WebhookEvent.CALL_ENDED)
    office.work()
    [row] = office.rows()
    assert (row.state, row.failure) == (DeliveryState.FAILED, "the endpoint is disabled")
    assert office.requests == []


def test_transcript_waits_for_redaction_and_the_newest_one_goes(office: Office) -> None:
    row = replace(
        office.place.call(a_call(office.place).id), id=CallId("2" * 12), leg_sid=LegSid("CA" + "9" * 32), redaction_awaited=True
    )  # fmt: skip
    office.work()
    office.requests.clear()
    with office.place.database.write() as conn:
        calls.insert(conn, row)
        for turns in (3, 4):
            event = LiveEvent(row.id, EventKind.TRANSCRIPT, {"kind": "final", "turns": turns})
            office.place.publisher.record(conn, event)
        stored = {"recording_sid": "RE1", "state": "stored", "error_code": None}
        office.place.publisher.record(conn, LiveEvent(row.id, EventKind.RECORDING, stored))
        office.place.publisher.record(conn, LiveEvent(row.id, EventKind.VERDICT, {"verdict": "verified"}))
    office.work()
    assert office.types() == ["verdict"], "text and audio are withheld, so nothing names them"
    waiting = [one for one in office.rows() if one.state is DeliveryState.PENDING]
    waiting.sort(key=lambda one: one.event, reverse=True)  # the transcript first, as before
    with office.place.database.write() as conn:
        assert all(deliveries.order_again(conn, one.id, NOON) for one in waiting)
    office.work()
    assert (len(waiting), office.types()) == (2, ["verdict"]), (
        "sent again by a person, they wait all the same"
    )
    with office.place.database.write() as conn:
        calls.set_redacted(conn, row.id, NOON)
    office.work()
    assert office.types() == ["verdict", "transcript.ready", "recording.stored"]
    assert office.bodies()[1]["data"]["turns"] == 4


def test_webhook_of_a_call_is_not_work_on_it(office: Office) -> None:
    a_call(office.place)
    with office.place.database.write() as conn:
        event = LiveEvent(CALL, EventKind.TRANSCRIPT, {"kind": "final", "turns": 1})
        office.place.publisher.record(conn, event)
        assert outbox.all_orders(conn) != []
        assert not outbox.has_order(conn, CALL), "or the call could not be erased"


def test_erasure_deletes_what_was_to_be_sent_about_the_call(office: Office) -> None:
    a_call(office.place)
    office.announce(WebhookEvent.CALL_ERASED, call_id=CALL)
    with office.place.database.write() as conn:
        erasures.delete_call(conn, CALL, [], {}, NOON)
    office.work()
    assert [body["data"] for body in office.bodies()] == [{"call_id": CALL}]
    assert office.types() == ["call.erased"]


def test_failing_endpoint_gets_the_same_webhook_until_it_accepts(office: Office) -> None:
    office.answers = [500, 404, 302, 503]
    office.headers = {"Retry-After": "120", "Location": "http://169.254.169.254/"}
    office.announce(verdict="verified")
    office.work()
    [row] = office.rows()
    assert (row.state, row.status, row.failure) == (DeliveryState.PENDING, 500, "the endpoint answered 500")
    assert office.engine.work_through() == [1, 2, 4, 120]
    [row] = office.rows()
    assert (row.state, row.attempts, row.failure) == (DeliveryState.DELIVERED, 5, "")
    assert {request.headers["webhook-id"] for request in office.requests} == {row.id}
    assert len({request.content for request in office.requests}) == 1
    assert {request.url.host for request in office.requests} == {"crm.example"}, "redirects are not followed"
    with office.place.database.read() as conn:
        endpoint = endpoints.get(conn, office.endpoint)
    assert endpoint is not None and endpoint.failing_since is None


def test_delivery_is_given_up_after_days_and_sent_again_on_request(office: Office) -> None:
    office.answers = [500] * (LAST_ATTEMPT + 1)
    office.announce()
    office.work()
    waited = office.engine.work_through(LAST_ATTEMPT + 5)
    assert 2 < sum(waited) / 86_400 < 5
    [row] = office.rows()
    assert (row.state, row.attempts) == (DeliveryState.FAILED, LAST_ATTEMPT + 1)
    with office.place.database.write() as conn:
        assert deliveries.failed_of(conn, office.endpoint) == [row.id]
        deliveries.order_again(conn, row.id, office.place.clock.now())
    office.work()
    assert [again.state for again in office.rows()] == [DeliveryState.DELIVERED]
    assert office.requests[-1].headers["webhook-id"] == row.id


def test_endpoint_that_fails_for_days_is_disabled_with_an_alert(office: Office) -> None:
    with office.place.database.write() as conn:
        endpoints.add(
            conn, "pager", "https://pager.example", [WebhookEvent.ALERT], SECRET, NOON, numbers=False
        )
    office.answers = [500]
    office.announce()
    office.work()
    office.place.clock.step(DISABLE_AFTER.total_seconds() + 1)
    office.answers = [500]
    office.announce()
    office.work()
    office.work()
    with office.place.database.read() as conn:
        endpoint = endpoints.get(conn, office.endpoint)
        [entry] = [one for one in trail.entries(conn) if one.action == AuditAction.WEBHOOK_DISABLED]
    assert endpoint is not None and endpoint.disabled_at is not None
    assert (entry.subject, entry.reason) == (str(office.endpoint), "no delivery succeeded for 5 days")
    assert office.bodies()[-1]["data"]["alert"] == "webhook_disabled"
    assert office.requests[-1].url.host == "pager.example"


def test_endpoint_that_answers_gone_is_disabled_at_once(office: Office) -> None:
    office.answers = [410]
    office.announce()
    office.work()
    with office.place.database.read() as conn:
        endpoint = endpoints.get(conn, office.endpoint)
    assert endpoint is not None and endpoint.disabled_why == "it answered 410 Gone"
    assert [row.state for row in office.rows()] == [DeliveryState.FAILED]
    assert office.engine.waiting == {}


def test_rotated_secret_signs_beside_the_old_one_for_a_day(office: Office) -> None:
    with office.place.database.write() as conn:
        assert endpoints.rotate(conn, office.endpoint, NEXT_SECRET, NOON)
    for number in range(2):
        office.announce(number=number)
        office.work()
        request = office.requests[-1]
        secrets = (NEXT_SECRET, SECRET) if number == 0 else (NEXT_SECRET,)
        assert signatures(request) == [expected_signature(request, one, office) for one in secrets]
        office.place.clock.step(ROTATION_OVERLAP.total_seconds())


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://crm.example/in", "10.0.0.8"),
        ("https://crm.example/in", "169.254.169.254"),
        ("https://crm.example/in", "::1"),
        ("http://crm.example/in", "1.1.1.1"),
    ],
)
def test_no_request_leaves_for_an_inside_address(office: Office, url: str, found: str) -> None:
    def lookup(host: str, port: int) -> Sequence[str]:
        return [found]

    client = httpx2.Client(transport=OutsideTransport(lookup))
    sender = WebhookSender(office.place.database, office.place.clock, client, PUBLIC)
    office.announce()
    with office.place.database.write() as conn:
        endpoints.change(conn, office.endpoint, {"url": url})
    with pytest.raises(DeliveryError, match="an address from outside"):
        sender.send(office.rows()[0].id)
    client.close()
    [row] = office.rows()
    assert (row.state, row.status) == (DeliveryState.PENDING, None)


def test_client_of_endpoints_refuses_loopback_unless_it_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with outside_client(1.0) as client, pytest.raises(Exception, match="must begin with https"):
        client.post("http://127.0.0.1:9/")
    with outside_client(1.0, ["127.0.0.1:9"]) as client, pytest.raises(httpx2.ConnectError):
        client.post("http://127.0.0.1:9/")


def test_lost_workflows_of_webhooks_are_ordered_again(office: Office) -> None:
    office.announce()
    with office.place.database.write() as conn:
        outbox.remove(conn, outbox.all_orders(conn)[0])
    assert office.dispatcher.reorder_lost() == 0, "its workflow may be about to start"
    office.place.clock.step(LOST_AFTER.total_seconds() + 1)
    assert office.dispatcher.reorder_lost() == 1
    office.work()
    assert [row.state for row in office.rows()] == [DeliveryState.DELIVERED]
    assert office.dispatcher.reorder_lost() == 0


def test_failing_and_recovered_check_are_alerts(office: Office) -> None:
    problem: list[str | None] = ["12 MiB are free"]
    record = alert_recorder(office.place.database, office.place.clock)
    health = Health(office.place.clock, {"disk_space": lambda: problem[0]}, on_change=record)
    for _ in range(2):
        health.run_checks()
    problem[0] = None
    health.run_checks()
    office.work()
    assert [body["data"] for body in office.bodies()] == [
        {"alert": f"health_check_{what}", "check": "disk_space", "url": f"{PUBLIC}/operations"}
        for what in ("failed", "recovered")
    ]


def test_ended_deliveries_are_deleted_after_the_history(office: Office) -> None:
    office.announce()
    office.work()
    office.answers = [500]
    office.announce()
    office.work()
    with office.place.database.write() as conn:
        assert deliveries.delete_ended(conn, NOON + timedelta(days=40)) == 1
    assert [row.state for row in office.rows()] == [DeliveryState.PENDING]


def test_ended_call_is_announced_with_the_state_that_was_committed(office: Office) -> None:
    a_call(office.place)
    with office.place.database.write() as conn:
        calls.set_state(conn, CALL, CallState.ENDED, NOON)
        office.place.publisher.record(conn, LiveEvent(CALL, EventKind.CALL, {"state": "ended"}))
    office.work()
    assert office.types() == ["call.started", "call.ended"]


def test_thousands_of_pending_webhooks_hide_no_lost_one(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest are known to the engine, a newer one is lost, and one is delivered while it is looked for."""
    monkeypatch.setattr("callreel.postcall.workflows.MOST_REORDERED", 2)
    for number in range(5):
        office.announce(number=number)
        office.place.clock.step(1)
    with office.place.database.write() as conn:
        orders = outbox.all_orders(conn)
        for order in orders:
            outbox.remove(conn, order)
    for order in orders[:3]:
        office.engine.start(Workflow.DELIVER, order.key)
    office.place.clock.step(LOST_AFTER.total_seconds() + 1)
    unfinished = office.engine.unfinished

    def delivered_meanwhile(*prefixes: str) -> Sequence[WorkItem]:
        assert prefixes == (), "a condition for each webhook is more than SQLite accepts"
        with office.place.database.write() as conn:
            deliveries.note_attempt(conn, orders[3].subject, DeliveryState.DELIVERED, NOON, 204)
        return unfinished()

    monkeypatch.setattr(FakeEngine, "unfinished", lambda self, *prefixes: delivered_meanwhile(*prefixes))
    assert office.dispatcher.reorder_lost() == 1
    with office.place.database.read() as conn:
        assert [order.subject for order in outbox.all_orders(conn)] == [orders[4].subject]
    assert [row.state for row in office.rows()].count(DeliveryState.DELIVERED) == 1


def test_endpoint_that_stalls_holds_only_its_slots(office: Office) -> None:
    stalled, asked = threading.Event(), threading.Semaphore(0)

    def stall(request: httpx2.Request) -> httpx2.Response:
        asked.release()
        stalled.wait(30)
        return httpx2.Response(500)

    client = httpx2.Client(transport=httpx2.MockTransport(stall))
    sender = WebhookSender(office.place.database, office.place.clock, client, PUBLIC)
    for number in range(AT_ONCE_EACH + 1):
        office.announce(number=number)
    *first, last = [row.id for row in office.rows()]

    def send(delivery_id: str) -> None:
        with pytest.raises(DeliveryError):
            sender.send(delivery_id)

    threads = [threading.Thread(target=send, args=(delivery_id,)) for delivery_id in first]
    try:
        for thread in threads:
            thread.start()
        assert all(asked.acquire(timeout=30) for _ in threads)
        with pytest.raises(EndpointBusyError) as busy:
            sender.send(last)
    finally:
        stalled.set()
        for thread in threads:
            thread.join()
    assert decide(busy.value, LAST_ATTEMPT + 5, jitter=1.0).after_s == 300
    assert office.rows()[-1].attempts == 0
    with pytest.raises(DeliveryError) as failed:
        sender.send(last)
    assert decide(failed.value, LAST_ATTEMPT + 5, jitter=1.0).after_s == 1, "it is the first failure"
    client.close()


def test_impossible_date_to_retry_after_is_no_wait(office: Office) -> None:
    office.answers = [503]
    office.headers = {"Retry-After": "Mon, 01 Jan 0001 00:00:00 +2359"}
    office.announce()
    office.work()
    assert office.engine.waits_s == [1]
    office.headers = {"Retry-After": f"Mon, 01 Jan 2029 00:00:00 +{'9' * 12}"}
    office.answers = [503]
    office.announce()
    office.work()
    assert office.engine.waits_s[-1] == 1


def test_replaced_secret_is_deleted_after_the_overlap(office: Office) -> None:
    with office.place.database.write() as conn:
        endpoints.rotate(conn, office.endpoint, NEXT_SECRET, NOON)
        assert endpoints.forget_previous_secrets(conn, NOON + ROTATION_OVERLAP / 2) == 0
        assert endpoints.forget_previous_secrets(conn, NOON + ROTATION_OVERLAP) == 1
        row = endpoints.get(conn, office.endpoint)
    assert row is not None and (row.secret, row.previous_secret) == (NEXT_SECRET, None)
