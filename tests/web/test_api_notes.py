"""Marks and notes: added by people who see the call, changed by their author or a supervisor, published live."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from callreel.domain.events import EventKind
from callreel.store.calls import live_events
from tests.support.seed import DONE, LIVE, SUSPECT, Seed
from tests.web.conftest import As

NOTES = f"/api/v1/calls/{DONE}/notes"


def note_events(place: Seed) -> list[dict[str, Any]]:
    with place.database.read() as conn:
        events = live_events.after(conn, DONE, 0, 1000)
    return [dict(event.data) for event in events if event.kind is EventKind.NOTE]


def test_note_is_stored_published_changed_and_removed(signed_in: As, place: Seed) -> None:
    maria = signed_in("maria")
    answer = maria.post(NOTES, json={"kind": "note", "at_ms": 4200, "text": " ask for the photo "})
    assert answer.status_code == 201
    note = answer.json()
    assert {**note, "id": 0, "at": ""} == {
        "id": 0, "kind": "note", "at_ms": 4200, "text": "ask for the photo", "by": "maria", "at": "",
    }  # fmt: skip
    assert maria.get(f"/api/v1/calls/{DONE}").json()["notes"] == [note]
    changed = maria.patch(f"{NOTES}/{note['id']}", json={"at_ms": 4300}).json()
    assert (changed["at_ms"], changed["text"]) == (4300, "ask for the photo")
    assert maria.delete(f"{NOTES}/{note['id']}").status_code == 204
    assert maria.get(f"/api/v1/calls/{DONE}").json()["notes"] == []
    assert [event["change"] for event in note_events(place)] == ["added", "changed", "removed"]
    assert note_events(place)[0]["note"] == note
    assert note_events(place)[2]["note"] == {"id": note["id"]}
    assert maria.delete(f"{NOTES}/{note['id']}").status_code == 404


def test_only_supervisors_edit_notes_of_others(signed_in: As) -> None:
    maria, sam = signed_in("maria"), signed_in("sam")
    mine = maria.post(NOTES, json={"kind": "mark", "at_ms": 1}).json()["id"]
    theirs = sam.post(NOTES, json={"kind": "mark", "at_ms": 2}).json()["id"]
    assert maria.patch(f"{NOTES}/{theirs}", json={"text": "x"}).status_code == 403
    assert maria.delete(f"{NOTES}/{theirs}").status_code == 403
    assert sam.patch(f"{NOTES}/{mine}", json={"text": "x"}).json()["by"] == "maria"
    assert sam.delete(f"{NOTES}/{mine}").status_code == 204


def test_a_note_belongs_to_its_call(signed_in: As) -> None:
    sam = signed_in("sam")
    note = sam.post(NOTES, json={"kind": "mark", "at_ms": 1}).json()["id"]
    for method in ("PATCH", "DELETE"):
        answer = sam.request(
            method, f"/api/v1/calls/{SUSPECT}/notes/{note}", json={} if method == "PATCH" else None
        )
        assert answer.status_code == 404
    assert sam.post("/api/v1/calls/ffffffffffff/notes", json={"kind": "mark", "at_ms": 1}).status_code == 404


def test_a_live_call_is_marked(ada: TestClient) -> None:
    assert ada.post(f"/api/v1/calls/{LIVE}/notes", json={"kind": "mark", "at_ms": 800}).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "note", "at_ms": 1, "text": "  "},
        {"kind": "note", "at_ms": -1, "text": "x"},
        {"kind": "song", "at_ms": 1, "text": "x"},
        {"kind": "note", "at_ms": 1, "text": "x" * 4001},
        {"kind": "note", "at_ms": 1, "text": "x", "by": "sam"},
        {"kind": "mark"},
    ],
)
def test_invalid_notes_are_refused(ada: TestClient, body: dict[str, Any]) -> None:
    assert ada.post(NOTES, json=body).status_code == 422
    assert ada.get(f"/api/v1/calls/{DONE}").json()["notes"] == []


def test_other_sites_write_nothing(ada: TestClient) -> None:
    answer = ada.post(NOTES, json={"kind": "mark", "at_ms": 1}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
