"""The API of webhook endpoints: secrets are shown once, addresses are checked, deliveries are sent again."""

from typing import Any

from fastapi.testclient import TestClient

from callreel.domain.access import Scope
from callreel.domain.audit import AuditAction
from callreel.domain.webhook import DeliveryState, WebhookEvent
from callreel.domain.work import Workflow
from callreel.store.calls import outbox
from callreel.store.webhooks import deliveries, endpoints
from callreel.web.api.webhooks import MOST_ENDPOINTS
from callreel.web.options import WebOptions
from tests.support.fake_engine import FakeEngine
from tests.support.rows import audit_entries
from tests.support.seed import DONE, NOON, Seed
from tests.web.conftest import MakeApp, bearer, enter

ENDPOINT = {"name": "crm", "url": "https://crm.example/in?key=hidden", "events": ["verdict", "call.ended"]}


def add(browser: TestClient, **changes: Any) -> dict[str, Any]:
    answer = browser.post("/api/v1/webhooks", json={**ENDPOINT, **changes})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_secret_is_shown_when_it_is_made_and_never_again(ada: TestClient, place: Seed) -> None:
    added = add(ada)
    first = added.pop("secret")
    rotated = ada.post(f"/api/v1/webhooks/{added['id']}/rotate")
    second = rotated.json()["secret"]
    assert first.startswith("whsec_") and second.startswith("whsec_") and first != second
    assert rotated.headers["Cache-Control"] == "no-store"
    listed = ada.get("/api/v1/webhooks")
    assert first not in listed.text and second not in listed.text
    [shown] = listed.json()["endpoints"]
    assert shown["previous_secret_until"] is not None
    assert shown["events"] == ["call.ended", "verdict"]
    with place.database.read() as conn:
        row = endpoints.get(conn, added["id"])
    assert row is not None and (row.secret, row.previous_secret) == (second, first)
    assert not any(
        secret in str(audit_entries(place.database)) for secret in (first, second, "hidden", "crm.example")
    )


def test_endpoint_is_changed_disabled_enabled_and_removed(ada: TestClient) -> None:
    path = f"/api/v1/webhooks/{add(ada)['id']}"
    changed = ada.patch(path, json={"events": ["alert"], "numbers": True}).json()
    assert (changed["events"], changed["numbers"], changed["name"]) == (["alert"], True, "crm")
    assert ada.patch(path, json={"disabled": True}).json()["disabled_why"] == "by an administrator"
    assert ada.post(f"{path}/test").status_code == 409
    assert ada.patch(path, json={"disabled": False}).json()["disabled_at"] is None
    assert ada.delete(path).status_code == 204
    assert ada.get(f"{path}/deliveries").status_code == 404


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"url": "http://crm.example/in"}, "must begin with https://"),
    ({"url": "https://10.0.0.8/in"}, "private network"),
    ({"url": "https://[::1]/in"}, "private network"),
    ({"url": "https://169.254.169.254/latest"}, "private network"),
    ({"url": "https://ada:secret@crm.example/in"}, "must not contain a user name"),
    ({"url": "https:///in"}, "has no host"),
    ({"url": "https://crm.example:99999/"}, "port is not between"),
    ({"url": "https://crm.example:port/"}, "not a valid URL"),
    ({"url": "file:///etc/passwd"}, "has no host"),
    ({"events": ["test"]}, "test is sent by"),
    ({"events": ["nonsense"]}, "events"),
    ({"events": []}, "events"),
    ({"name": ""}, "name"),
)


def test_unusable_endpoint_is_refused_with_its_reason(ada: TestClient) -> None:
    for changes, reason in REFUSED:
        answer = ada.post("/api/v1/webhooks", json={**ENDPOINT, **changes})
        assert answer.status_code == 422, changes
        assert reason in answer.json()["error"]["message"]
    assert ada.get("/api/v1/webhooks").json()["endpoints"] == []


def test_listed_host_of_the_own_network_is_accepted(make_app: MakeApp, place: Seed) -> None:
    app = make_app(WebOptions(webhook_inside_hosts=["n8n.internal", "10.0.0.5:5678"]))
    ada = enter(TestClient(app, base_url="https://calls.example"), place, "ada")
    add(ada, url="http://n8n.internal:1234/in")
    add(ada, url="http://10.0.0.5:5678/in")
    other_port = ada.post("/api/v1/webhooks", json={**ENDPOINT, "url": "http://10.0.0.5:5679/in"})
    assert other_port.status_code == 422


def test_number_of_endpoints_is_limited(ada: TestClient, place: Seed) -> None:
    with place.database.write() as conn:
        for _ in range(MOST_ENDPOINTS):
            endpoints.add(
                conn, "x", "https://x.example", [WebhookEvent.ALERT], "whsec_AAAA", NOON, numbers=False
            )
    assert ada.post("/api/v1/webhooks", json=ENDPOINT).status_code == 409


def test_test_and_failed_deliveries_are_listed_and_sent_again(
    ada: TestClient, place: Seed, engine: FakeEngine
) -> None:
    endpoint_id, other = add(ada)["id"], add(ada)["id"]
    path = f"/api/v1/webhooks/{endpoint_id}"
    tested = ada.post(f"{path}/test").json()["delivery"]
    with place.database.write() as conn:
        failed = deliveries.order(
            conn, endpoint_id, WebhookEvent.VERDICT, {"verdict": "verified"}, NOON, DONE
        )
        deliveries.note_attempt(conn, failed, DeliveryState.PENDING, NOON, 500, "the endpoint answered 500")
        deliveries.give_up(conn, failed, "the endpoint answered 500")
        for order in outbox.all_orders(conn):
            outbox.remove(conn, order)
    listed = {row["id"]: row for row in ada.get(f"{path}/deliveries").json()["deliveries"]}
    assert (listed[tested]["event"], listed[tested]["state"]) == ("test", "pending")
    assert (listed[failed]["status"], listed[failed]["failure"]) == (500, "the endpoint answered 500")
    assert listed[failed]["call_id"] == DONE
    older = ada.get(f"{path}/deliveries", params={"before": listed[tested]["created_at"]}).json()
    assert [row["id"] for row in older["deliveries"]] == [failed]
    assert ada.get(f"{path}/deliveries", params={"before": "2026-11-29T12:00:00"}).status_code == 422

    assert ada.post(f"/api/v1/webhooks/{other}/deliveries/{failed}/send").status_code == 404
    assert ada.post(f"{path}/deliveries/{failed}/send").status_code == 202
    assert ada.post(f"{path}/send-failed").json() == {"deliveries": 0}, "it waits again"
    with place.database.read() as conn:
        assert [(order.workflow, order.subject) for order in outbox.all_orders(conn)] == [
            (Workflow.DELIVER, failed)
        ]


def test_send_again_hastens_a_delivery_that_waits(ada: TestClient, place: Seed, engine: FakeEngine) -> None:
    path = f"/api/v1/webhooks/{add(ada)['id']}"
    tested = ada.post(f"{path}/test").json()["delivery"]
    with place.database.write() as conn:
        [order] = outbox.all_orders(conn)[-1:]
        outbox.remove(conn, order)
    engine.park(Workflow.DELIVER, order.key, "send", "the endpoint answered 500")
    assert ada.post(f"{path}/deliveries/{tested}/send").status_code == 202
    assert [run[:2] for run in engine.queue] == [(Workflow.DELIVER, order.key)]
    with place.database.read() as conn:
        assert tested not in [one.subject for one in outbox.all_orders(conn)]


def test_attempt_in_progress_is_not_doubled(ada: TestClient, place: Seed, engine: FakeEngine) -> None:
    path = f"/api/v1/webhooks/{add(ada)['id']}"
    tested = ada.post(f"{path}/test").json()["delivery"]
    with place.database.write() as conn:
        [order] = [one for one in outbox.all_orders(conn) if one.subject == tested]
        outbox.remove(conn, order)
    engine.start(Workflow.DELIVER, order.key)
    refused = ada.post(f"{path}/deliveries/{tested}/send")
    assert (refused.status_code, refused.json()["error"]["message"]) == (
        409,
        "The webhook is being sent already.",
    )
    with place.database.read() as conn:
        assert tested not in [one.subject for one in outbox.all_orders(conn)]


def test_numbers_in_full_need_the_right_to_read_all_calls(
    ada: TestClient, stranger: TestClient, place: Seed
) -> None:
    only = bearer(place, "ada", Scope.WRITE_WEBHOOKS)
    reader = bearer(place, "ada", Scope.WRITE_WEBHOOKS, Scope.READ_CALLS)
    full, masked = (f"/api/v1/webhooks/{add(ada, numbers=numbers)['id']}" for numbers in (True, False))
    elsewhere = {"url": "https://other.example/in"}
    for answer in (
        stranger.post("/api/v1/webhooks", json={**ENDPOINT, "numbers": True}, headers=only),
        stranger.patch(masked, json={"numbers": True}, headers=only),
        stranger.patch(full, json=elsewhere, headers=only),
    ):
        assert answer.status_code == 403
        assert answer.json()["error"]["message"] == "Phone numbers in full need the right to read all calls."
    assert stranger.patch(masked, json=elsewhere, headers=only).status_code == 200
    assert stranger.patch(full, json={"name": "erp"}, headers=only).status_code == 200
    assert stranger.patch(full, json=elsewhere, headers=reader).status_code == 200
    trail = audit_entries(place.database)
    changes = [one.details for one in trail if one.action == AuditAction.WEBHOOK_CHANGED]
    assert [one["address_changed"] for one in changes if "address_changed" in one] == [True, False, True]


def test_second_rotation_within_a_day_needs_force(ada: TestClient) -> None:
    path = f"/api/v1/webhooks/{add(ada)['id']}/rotate"
    assert ada.post(path).status_code == 200
    refused = ada.post(path)
    assert refused.status_code == 409
    assert refused.json()["error"]["message"] == "The secret was replaced less than a day ago."
    assert ada.post(path, params={"force": True}).status_code == 200
