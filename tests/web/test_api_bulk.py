"""Changing many calls at once: each is checked, changed and recorded on its own."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.events import LiveEvent
from callreel.store.calls import labels
from tests.support.rows import audit_entries
from tests.support.seed import ABSENT, DONE, LIVE, SUSPECT, Seed
from tests.web.call_list import ids, new_label
from tests.web.conftest import As

UNKNOWN = "f" * 12


def changed(browser: TestClient, change: str, calls: list[str], **values: Any) -> dict[str, Any]:
    answer = browser.post("/api/v1/calls/bulk", json={"change": change, "calls": calls, **values})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return {**found, "changed": [one["call_id"] for one in found["changed"]]}


def entries(place: Seed) -> list[tuple[str, str | None, str]]:
    return [(entry.action, entry.call_id, entry.actor) for entry in audit_entries(place.database)]


def test_calls_are_labeled_and_each_has_its_entry(signed_in: As, place: Seed) -> None:
    sam, maria = signed_in("sam"), signed_in("maria")
    label = new_label(sam)
    before = len(entries(place))
    outcome = changed(maria, "label", [DONE, ABSENT, DONE, SUSPECT, UNKNOWN], label_id=label)
    assert outcome["changed"] == [DONE, ABSENT]
    assert outcome["refused"] == {SUSPECT: "There is no such call.", UNKNOWN: "There is no such call."}
    assert changed(sam, "label", [DONE, SUSPECT], label_id=label)["unchanged"] == [DONE]
    assert entries(place)[before:] == [
        ("call_labeled", DONE, "maria"), ("call_labeled", ABSENT, "maria"), ("call_labeled", SUSPECT, "sam"),
    ]  # fmt: skip
    assert ids(sam, label=str(label)) == [ABSENT, SUSPECT, DONE]
    assert changed(sam, "unlabel", [ABSENT, LIVE], label_id=label)["changed"] == [ABSENT]


def test_result_is_answered_when_the_label_is_deleted_meanwhile(
    signed_in: As, place: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    sam = signed_in("sam")
    label = new_label(sam)
    publish = EventPublisher.publish

    def delete(publisher: EventPublisher, *events: LiveEvent) -> None:
        publish(publisher, *events)
        with place.database.write() as conn:
            labels.remove(conn, label)

    monkeypatch.setattr(EventPublisher, "publish", delete)
    outcome = changed(sam, "label", [DONE, ABSENT], label_id=label)
    assert (outcome["changed"], outcome["refused"]) == ([DONE], {ABSENT: "There is no such label."})


def test_calls_are_reviewed_assigned_and_held_and_others_stay(signed_in: As, place: Seed) -> None:
    sam = signed_in("sam")
    reviewed = changed(sam, "review", [DONE, LIVE])
    assert reviewed["changed"] == [DONE]
    assert reviewed["refused"] == {LIVE: "The call can be reviewed when it has ended."}
    assert changed(sam, "unreview", [DONE, SUSPECT]) == {
        "changed": [DONE],
        "unchanged": [SUSPECT],
        "refused": {},
    }
    changed(sam, "assign", [DONE], person="sam")
    answer = sam.post(
        "/api/v1/calls/bulk", json={"change": "assign", "calls": [DONE, SUSPECT], "person": "maria"}
    )
    assert answer.json()["changed"] == [{"call_id": DONE, "assigned_before": "sam"}]
    assert list(answer.json()["refused"]) == [SUSPECT]
    assert changed(sam, "assign", [DONE])["changed"] == [DONE]
    assert [action for action, _, _ in entries(place)][-2:] == ["assigned", "unassigned"]
    assert changed(sam, "hold", [DONE, SUSPECT], reason="case 17")["changed"] == [DONE, SUSPECT]
    assert list(changed(sam, "hold", [DONE], reason="case 18")["refused"]) == [DONE]
    assert changed(sam, "release", [DONE], reason="closed")["changed"] == [DONE]
    assert ids(sam, held="true") == [SUSPECT]


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("maria", {"change": "review", "calls": [DONE]}, 403),
        ("maria", {"change": "hold", "calls": [DONE], "reason": "x"}, 403),
        ("sam", {"change": "label", "calls": [DONE]}, 422),
        ("sam", {"change": "label", "calls": [DONE], "label_id": 99}, 404),
        ("sam", {"change": "hold", "calls": [DONE]}, 422),
        ("sam", {"change": "erase", "calls": [DONE]}, 422),
        ("sam", {"change": "review", "calls": []}, 422),
        ("sam", {"change": "review", "calls": [DONE] * 101}, 422),
    ],
)
def test_change_that_cannot_be_made_changes_nothing(
    signed_in: As, place: Seed, name: str, body: dict[str, Any], status: int
) -> None:
    assert signed_in(name).post("/api/v1/calls/bulk", json=body).status_code == status
    assert entries(place) == []
