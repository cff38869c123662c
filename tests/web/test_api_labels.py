"""Labels by the API: the team's list, labels of calls, the filter of the list, and the page that shows them."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from callreel.domain.events import EventKind
from callreel.domain.retention import parse_rules
from callreel.store.calls import live_events
from callreel.web.options import WebOptions
from tests.support.rows import audit_entries
from tests.support.seed import ABSENT, DONE, SUSPECT, Seed
from tests.web.call_list import LABELS, add_measures, attach, ids, new_label
from tests.web.conftest import As, MakeApp, browser_of


def test_label_is_given_shown_filtered_and_taken_away(signed_in: As, place: Seed) -> None:
    sam, maria = signed_in("sam"), signed_in("maria")
    red, blue = new_label(sam), new_label(sam, "Praise", "blue")
    complaint = {"id": red, "name": "complaint", "color": "red"}
    assert attach(maria, DONE, red) == [complaint]
    assert attach(maria, DONE, red) == [complaint]
    attach(sam, SUSPECT, red)
    attach(sam, DONE, blue)
    assert ids(sam, label=str(red)) == [SUSPECT, DONE]
    assert ids(maria, label=str(red)) == [DONE]
    assert ids(sam, label=str(red), q="gauge") == ids(sam, label=str(red), agent="maria") == [DONE]
    assert ids(sam, label="4711") == []
    listed = {call["call_id"]: call["labels"] for call in sam.get("/api/v1/calls").json()["calls"]}
    assert listed[DONE] == [complaint, {"id": blue, "name": "Praise", "color": "blue"}]
    assert listed[ABSENT] == []
    assert sam.get(f"/api/v1/calls/{DONE}").json()["labels"] == listed[DONE]
    assert '<span class="label red">complaint</span>' in maria.get("/").text
    assert f'data-detach="{red}"' in maria.get(f"/calls/{DONE}").text
    assert [label["calls"] for label in sam.get(LABELS).json()["labels"]] == [2, 1]
    assert [label["calls"] for label in maria.get(LABELS).json()["labels"]] == [1, 1]
    assert [label["calls"] for label in signed_in("zoe").get(LABELS).json()["labels"]] == [0, 0]
    assert maria.delete(f"/api/v1/calls/{DONE}/labels/{red}").status_code == 204
    assert ids(sam, label=str(red)) == [SUSPECT]
    with place.database.read() as conn:
        events = live_events.after(conn, DONE, 0, 1000)
    changes = [
        event.data["labels"] for event in events if event.kind is EventKind.CALL and "labels" in event.data
    ]
    assert changes == [[red], [red, blue], [blue]]


def test_label_filters_the_list_by_a_measure(ada: TestClient, place: Seed) -> None:
    add_measures(place)
    label = new_label(ada)
    attach(ada, DONE, label)
    assert (
        ids(ada, label=str(label), sort="silence") == ids(ada, label=str(label), min_silence_s="1") == [DONE]
    )


def test_statistics_by_label_with_trends(ada: TestClient, signed_in: As, place: Seed) -> None:
    add_measures(place)
    complaint, praise, _ = (new_label(ada, name) for name in ("complaint", "praise", "unused"))
    for call_id, label in ((SUSPECT, complaint), (DONE, complaint), (DONE, praise)):
        attach(ada, call_id, label)
    period = "from=2026-11-20&to=2026-11-22"
    report = ada.get(f"/api/v1/statistics?{period}").json()
    of_complaint, of_praise = report["labels"]
    assert (of_complaint["id"], of_complaint["name"], of_complaint["color"]) == (
        complaint,
        "complaint",
        "red",
    )
    assert (of_complaint["calls"], of_complaint["silence_ms"], of_complaint["interruptions"]) == (
        2,
        64_400,
        1,
    )
    assert of_complaint["trend"] == {"calls_a_day": [0, 0, 2], "silence_s_a_call": [None, None, 32.2]}
    assert (of_praise["calls"], of_praise["silence_ms"]) == (1, 4_400)
    page = ada.get(f"/statistics?{period}").text
    assert f'/?from=2026-11-20&amp;to=2026-11-22&amp;label={complaint}">complaint</a>' in page
    assert 'aria-label="Calls a day: 0, 0, 2"' in page
    [own] = (
        one
        for one in signed_in("maria").get(f"/api/v1/statistics?{period}").json()["labels"]
        if one["id"] == complaint
    )
    assert (own["calls"], own["silence_ms"]) == (1, 4_400)
    assert signed_in("zoe").get(f"/api/v1/statistics?{period}").json()["labels"] == []
    assert "Calls by label" not in signed_in("zoe").get(f"/statistics?{period}").text


def test_label_is_renamed_and_deleted_on_all_calls(signed_in: As) -> None:
    sam = signed_in("sam")
    label = new_label(sam)
    attach(sam, DONE, label)
    changed = sam.patch(f"{LABELS}/{label}", json={"name": " data  request ", "color": "teal"})
    assert changed.json() == {"id": label, "name": "data request", "color": "teal"}
    assert sam.get(f"/api/v1/calls/{DONE}").json()["labels"] == [changed.json()]
    assert sam.delete(f"{LABELS}/{label}").json() == {"calls": 1}
    assert sam.get(f"/api/v1/calls/{DONE}").json()["labels"] == []
    assert sam.delete(f"{LABELS}/{label}").status_code == 404


def test_instructions_have_versions_that_supervisors_add(signed_in: As, place: Seed) -> None:
    sam, label = signed_in("sam"), new_label(signed_in("sam"))
    address = f"{LABELS}/{label}/instructions"
    assert sam.get(address).json() == {"versions": []}
    first = sam.put(address, json={"base": 0, "text": " Say what failed.\r\nName the part. "}).json()
    assert (first["version"], first["text"]) == (1, "Say what failed.\nName the part.")
    assert first["by"] == "sam"
    assert sam.put(address, json={"base": 0, "text": "Late."}).status_code == 409
    assert sam.put(address, json={"base": 1, "text": "x" * 2_001}).status_code == 422
    assert [one["instructions"] for one in sam.get(LABELS).json()["labels"]] == [1]
    assert sam.put(address, json={"base": 1, "text": ""}).json()["version"] == 2
    assert [one["version"] for one in sam.get(address).json()["versions"]] == [2, 1]
    assert [one["instructions"] for one in sam.get(LABELS).json()["labels"]] == [None]
    assert signed_in("maria").put(address, json={"base": 2, "text": "Hers."}).status_code == 403
    for method, body in (("GET", None), ("PUT", {"base": 0, "text": "x"})):
        assert sam.request(method, f"{LABELS}/99/instructions", json=body).status_code == 404
    details = [entry.details for entry in audit_entries(place.database) if entry.action == "label_changed"]
    assert details[-1] == {"label": "complaint", "version": 2} and "failed" not in str(details)


def test_labels_of_a_call_need_the_right_to_see_it(signed_in: As) -> None:
    label = new_label(signed_in("sam"))
    for method in ("PUT", "DELETE"):
        address = f"/api/v1/calls/{DONE}/labels/{label}"
        assert signed_in("zoe").request(method, address).status_code == 404
        assert (
            signed_in("sam").request(method, f"/api/v1/calls/ffffffffffff/labels/{label}").status_code == 404
        )
        assert signed_in("sam").request(method, f"/api/v1/calls/{DONE}/labels/99").json()["error"][
            "message"
        ] == ("There is no such label.")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "Complaint", "color": "blue"}, 409),
        ({"name": " "}, 422),
        ({"name": "a|b"}, 422),
        ({"name": "x" * 41}, 422),
        ({"name": "new", "color": "pink"}, 422),
        ({"name": "new", "odd": 1}, 422),
    ],
)
def test_invalid_labels_are_refused(ada: TestClient, body: dict[str, Any], status: int) -> None:
    new_label(ada)
    assert ada.post(LABELS, json=body).status_code == status
    assert [label["name"] for label in ada.get(LABELS).json()["labels"]] == ["complaint"]


@pytest.fixture
def guarded(make_app: MakeApp, place: Seed) -> As:
    """Browsers of a server whose policies name the label complaint."""
    app = make_app(WebOptions(retention=parse_rules("label=complaint call=never; call=30")))
    return lambda name: browser_of(app, place, name)


def test_label_of_a_policy_is_given_and_removed_by_who_may_hold_calls(guarded: As, place: Seed) -> None:
    sam, maria = guarded("sam"), guarded("maria")
    label, other = new_label(sam), new_label(sam, "praise")
    attach(sam, DONE, label)
    address = f"/api/v1/calls/{DONE}/labels/{label}"
    bulk = [{"change": change, "calls": [DONE], "label_id": label} for change in ("label", "unlabel")]
    before = len(audit_entries(place.database))
    answers = [maria.put(address), maria.delete(address)]
    answers += [maria.post("/api/v1/calls/bulk", json=body) for body in bulk]
    assert {answer.status_code for answer in answers} == {403}
    assert {answer.json()["error"]["message"] for answer in answers} == {
        "A retention policy names the label complaint: this change needs the right calls:hold."
    }
    assert len(audit_entries(place.database)) == before
    assert [one["id"] for one in attach(maria, DONE, other)] == [label, other]
    assert sam.delete(address).status_code == 204


def test_label_of_a_policy_is_renamed_and_deleted_by_who_may_erase(guarded: As) -> None:
    sam, ada = guarded("sam"), guarded("ada")
    label, other = new_label(sam), new_label(sam, "praise")
    refused = (
        sam.patch(f"{LABELS}/{label}", json={"name": "praised"}),
        sam.patch(f"{LABELS}/{other}", json={"name": "complaint"}),
        sam.delete(f"{LABELS}/{label}"),
    )
    assert [answer.status_code for answer in refused] == [403] * 3
    assert "needs the right calls:erase" in refused[0].json()["error"]["message"]
    assert sam.patch(f"{LABELS}/{label}", json={"name": "complaint", "color": "blue"}).status_code == 200
    assert sam.patch(f"{LABELS}/{other}", json={"name": "praised"}).status_code == 200
    assert ada.patch(f"{LABELS}/{label}", json={"name": "objection"}).status_code == 200
    assert ada.delete(f"{LABELS}/{label}").status_code == 200
