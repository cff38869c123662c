"""Review and assignment by the API: who may, what the list shows and filters, and what is published."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from callreel.domain.events import EventKind
from callreel.store.calls import live_events
from callreel.store.people import users
from tests.support.seed import ABSENT, DONE, LIVE, SUSPECT, Seed
from tests.web.call_list import ids
from tests.web.conftest import As

CALL = f"/api/v1/calls/{DONE}"


def events_of(place: Seed, name: str) -> list[Any]:
    with place.database.read() as conn:
        events = live_events.after(conn, DONE, 0, 1000)
    return [event.data[name] for event in events if event.kind is EventKind.CALL and name in event.data]


def test_call_is_reviewed_once_and_undone(signed_in: As, place: Seed) -> None:
    sam, ada, maria = signed_in("sam"), signed_in("ada"), signed_in("maria")
    first = sam.put(f"{CALL}/review").json()
    assert first["reviewed"]["by"] == "sam"
    assert ada.put(f"{CALL}/review").json() == first
    assert ids(sam, reviewed="true") == [DONE]
    assert ids(sam, reviewed="false") == [LIVE, ABSENT, SUSPECT]
    assert maria.get(CALL).json()["reviewed"] == first["reviewed"]
    assert "Reviewed by sam" in maria.get("/").text
    assert maria.delete(f"{CALL}/review").status_code == 403
    assert ada.delete(f"{CALL}/review").status_code == 204
    assert ids(sam, reviewed="true") == []
    assert events_of(place, "reviewed") == [True, False]


def test_live_call_is_not_reviewed(ada: TestClient) -> None:
    answer = ada.put(f"/api/v1/calls/{LIVE}/review")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert ada.put("/api/v1/calls/ffffffffffff/review").status_code == 404


def test_call_is_assigned_found_by_each_person_and_unassigned(signed_in: As, place: Seed) -> None:
    sam, maria = signed_in("sam"), signed_in("maria")
    assert sam.put(f"{CALL}/assignment", json={"person": "maria"}).json()["assigned_to"] == "maria"
    assert ids(maria, assigned="me") == ids(sam, assigned="maria") == [DONE]
    assert ids(sam, assigned="me") == []
    assert ids(sam, assigned="none") == [LIVE, ABSENT, SUSPECT]
    assert "Assigned to maria" in sam.get("/").text
    assert sam.put(f"{CALL}/assignment", json={"person": "sam"}).json()["assigned_to"] == "sam"
    assert sam.delete(f"{CALL}/assignment").status_code == 204
    assert sam.get(CALL).json()["assigned_to"] is None
    assert events_of(place, "assigned_to") == ["maria", "sam", None]


@pytest.mark.parametrize("name", ["zoe", "gone", "stranger"])
def test_call_is_not_assigned_to_a_person_who_cannot_see_it(signed_in: As, place: Seed, name: str) -> None:
    sam = signed_in("sam")
    with place.database.write() as conn:
        ada = users.get_by_name(conn, "ada")
        assert ada is not None
        gone = users.add(conn, "gone", "x", ada.role, ada.created_at)
        users.change(conn, gone.id, disabled=True)
    assert sam.put(f"{CALL}/assignment", json={"person": name}).status_code == 422
    assert f"<option>{name}</option>" not in sam.get(f"/calls/{DONE}").text
    assert sam.get(CALL).json()["assigned_to"] is None
