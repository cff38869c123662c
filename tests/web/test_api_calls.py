"""Finding calls: filters, search, and that agents find their own only."""

import pytest
from fastapi.testclient import TestClient

from callreel.domain.note import NoteKind
from callreel.store.calls import notes
from callreel.store.people import technicians
from tests.support.seed import ABSENT, DONE, LIVE, NOON, NUMBER, SUSPECT, Seed
from tests.web.call_list import ids
from tests.web.conftest import As


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({}, [LIVE, ABSENT, SUSPECT, DONE]),
        ({"from": "2026-11-22T12:10:00Z"}, [LIVE, ABSENT, SUSPECT]),
        ({"to": "2026-11-22T12:10:00Z"}, [DONE]),
        ({"to": "2026-11-22"}, [LIVE, ABSENT, SUSPECT, DONE]),
        ({"from": "2026-11-23"}, []),
        ({"to": "2026-11-22", "zone": "America/New_York"}, [LIVE, ABSENT, SUSPECT, DONE]),
        ({"to": "2026-11-22", "zone": "Pacific/Kiritimati"}, []),
        ({"from": "2026-11-23", "zone": "Pacific/Kiritimati"}, [LIVE, ABSENT, SUSPECT, DONE]),
        ({"to": "9999-12-31", "zone": "America/New_York"}, [LIVE, ABSENT, SUSPECT, DONE]),
        ({"from": "0001-01-01", "zone": "Pacific/Kiritimati"}, [LIVE, ABSENT, SUSPECT, DONE]),
        ({"from": "2026-11-22T14:15:00+02:00"}, [LIVE, ABSENT]),
        ({"agent": "jonas"}, [SUSPECT]),
        ({"number": "212-555"}, [LIVE, ABSENT, SUSPECT, DONE]),
        ({"number": "999"}, []),
        ({"number": "%"}, [LIVE, ABSENT, SUSPECT, DONE]),
        ({"state": "live"}, [LIVE]),
        ({"verdict": "suspect"}, [SUSPECT]),
        ({"verdict": "none"}, [LIVE]),
        ({"min_s": "60"}, [SUSPECT, DONE]),
        ({"max_s": "60"}, [ABSENT]),
        ({"min_s": "79.25", "max_s": "79.25"}, [DONE]),
        ({"notes": "1"}, []),
        ({"q": "gauge", "agent": "maria"}, [DONE]),
        ({"q": "gauge", "agent": "jonas"}, []),
    ],
)
def test_filters_select_calls(ada: TestClient, params: dict[str, str], wanted: list[str]) -> None:
    assert ids(ada, **params) == wanted


@pytest.mark.parametrize(
    "params",
    [
        {"from": "soon"},
        {"to": "2026-13-01"},
        {"state": "odd"},
        {"min_s": "-1"},
        {"q": "x" * 501},
        {"zone": "Mars"},
    ],
)
def test_invalid_filters_are_refused(ada: TestClient, params: dict[str, str]) -> None:
    assert ada.get("/api/v1/calls", params=params).status_code == 422


def test_named_number_is_shown_and_found_by_its_name(ada: TestClient, place: Seed) -> None:
    assert {call["number_name"] for call in ada.get("/api/v1/calls").json()["calls"]} == {None}
    with place.database.write() as conn:
        technicians.add(conn, "Lee Ann (100 %)", NUMBER, NOON)
    assert ada.get(f"/api/v1/calls/{DONE}").json()["number_name"] == "Lee Ann (100 %)"
    assert {call["number_name"] for call in ada.get("/api/v1/calls").json()["calls"]} == {"Lee Ann (100 %)"}
    for part in ("lee", " ANN ", "n (100 %"):
        assert ids(ada, number=part) == [LIVE, ABSENT, SUSPECT, DONE], part
    for part in ("otto", "lee_ann", "100%x"):
        assert ids(ada, number=part) == [], part
    page = ada.get("/").text
    assert page.count(">Lee Ann (100 %)</span>") == 4


def test_hits_open_at_the_word(ada: TestClient) -> None:
    (call,) = ada.get("/api/v1/calls", params={"q": '"left gauge" valv*'}).json()["calls"]
    assert call["call_id"] == DONE
    assert call["hits_total"] == 2
    first = call["hits"][0]
    assert (first["role"], first["start_ms"]) == ("agent", 8300)
    assert [part["text"] for part in first["parts"] if part["hit"]] == ["left gauge"]


def test_without_words_there_are_no_hits(ada: TestClient) -> None:
    for call in ada.get("/api/v1/calls").json()["calls"]:
        assert (call["hits"], call["hits_total"], call["notes"]) == ([], 0, 0)


def test_notes_are_counted(ada: TestClient, place: Seed) -> None:
    with place.database.write() as conn:
        for at_ms in (1, 2):
            notes.add(conn, DONE, NoteKind.MARK, at_ms, "", "ada", NOON)
    (call,) = ada.get("/api/v1/calls?notes=1").json()["calls"]
    assert (call["call_id"], call["notes"]) == (DONE, 2)


def test_filtered_pages_continue_where_they_ended(ada: TestClient) -> None:
    first = ada.get("/api/v1/calls", params={"agent": "maria", "limit": "2"}).json()
    assert [call["call_id"] for call in first["calls"]] == [LIVE, ABSENT]
    assert ids(ada, agent="maria", before=first["next_before"]) == [DONE]


def test_agents_find_their_own_calls_only(signed_in: As) -> None:
    maria, zoe, sam = (signed_in(name) for name in ("maria", "zoe", "sam"))
    assert ids(maria) == [LIVE, ABSENT, DONE]
    assert ids(maria, agent="jonas") == []
    assert ids(maria, q="gauge") == [DONE]
    assert ids(zoe, q="gauge") == ids(zoe) == []
    assert len(ids(sam)) == 4
    for path in ("/", "/statistics"):
        assert zoe.get(path).status_code == 200
        assert DONE not in zoe.get(path).text
        assert NUMBER not in zoe.get(path).text
    assert DONE in maria.get("/").text
    assert maria.get(f"/api/v1/calls/{DONE}").status_code == 200
    assert maria.get(f"/calls/{DONE}/layers/1.wav").status_code == 200
    assert maria.get(f"/api/v1/calls/{SUSPECT}").status_code == 404
