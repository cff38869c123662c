"""Retention and requests about a number by page and API: rights, preview, expiry of a call, archive, erasure."""

import io
import json
import zipfile

import pytest
from fastapi.testclient import TestClient

from callreel.domain.retention import parse_rules
from callreel.store.calls import erasures
from callreel.store.people import technicians
from callreel.web.options import WebOptions
from tests.support.seed import DONE, NOON, NUMBER, SUSPECT, Seed
from tests.support.spoken_card import MASKED, SAID, redactor, say_card
from tests.web.conftest import As, MakeApp, enter

ACCESS = "/api/v1/subject-access"


@pytest.fixture
def ada_with_rules(make_app: MakeApp, place: Seed) -> TestClient:
    """An administrator of a server with policies."""
    app = make_app(WebOptions(retention=parse_rules("verdict=suspect call=never; audio=90 call=3650")))
    client = TestClient(app, base_url="https://calls.example", follow_redirects=False)
    return enter(client, place, "ada")


def test_preview_report_and_expiry_are_shown(ada_with_rules: TestClient) -> None:
    ada = ada_with_rules
    call = ada.get(f"/api/v1/calls/{DONE}").json()
    assert call["expires"]["audio"]["policy"] == "rule 2: audio=90" and set(call["expires"]) == {
        "audio",
        "call",
    }
    assert set(ada.get(f"/api/v1/calls/{SUSPECT}").json()["expires"]) == {"audio"}
    assert "Audio is deleted" in ada.get(f"/calls/{DONE}").text
    state = ada.get("/api/v1/retention?days=3000").json()
    assert state["policies"] == ["verdict=suspect call=never", "audio=90 call=3650"]
    assert {one["policy"] for one in state["totals"]} == {"rule 2: audio=90"} and state["due_total"] == 3
    tried = ada.get("/retention", params={"rules": "call=1", "days": "1"}).text
    assert "What these rules would delete" in tried and "rule 1: call=1" in tried
    assert ada.get("/api/v1/retention", params={"rules": "call=x"}).status_code == 422
    wrong = ada.get("/retention", params={"rules": "call=x"})
    assert wrong.status_code == 422 and "1 to 36500 days" in wrong.text
    assert "Nothing yet." in ada.get("/retention").text


def test_only_administrators_have_retention_and_subject_access(signed_in: As, place: Seed) -> None:
    for name in ("sam", "maria"):
        person = signed_in(name)
        gets = ("/retention", "/api/v1/retention", f"{ACCESS}?number=%2B12125550123")
        assert [person.get(address).status_code for address in gets] == [403] * 3
        posts: tuple[tuple[str, dict[str, str]], ...] = (
            ("/retention/erase", {"number": NUMBER}),
            (f"{ACCESS}/erase", {}),
        )
        assert [person.post(address, data=data).status_code for address, data in posts] == [403] * 2
    with place.database.read() as conn:
        assert erasures.newest(conn) == []


def test_archive_has_everything_about_a_number_and_is_redacted(signed_in: As, place: Seed) -> None:
    say_card(place)
    with redactor(place) as (stage, _):
        stage.redact(DONE)
    with place.database.write() as conn:
        technicians.add(conn, "Lena", NUMBER, NOON)
    ada = signed_in("ada")
    number = {"number": "+1 (212) 555-0123"}
    answer = ada.get(ACCESS, params=number)
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as made:
        assert made.testzip() is None
        assert [one["name"] for one in json.loads(made.read("phone_book.json"))] == ["Lena"]
        assert len(json.loads(made.read("calls.json"))) == 4
        call = json.loads(made.read(f"{DONE}/call.json"))
        wav = made.read(f"{DONE}/cloud.wav")
        assert MASKED in made.read(f"{DONE}/transcript.txt").decode()
        assert not any(b"4111" in made.read(name) for name in made.namelist())
        assert len([name for name in made.namelist() if name.startswith(f"{DONE}/")]) == 10
        assert json.loads(made.read(f"{DONE}/reviews.json")) == []
    assert call["turns"][0]["text"] == MASKED
    assert wav == ada.get(f"/calls/{DONE}/layers/cloud.wav").content
    originals = ada.get(ACCESS, params={**number, "original": "true"}).content
    with zipfile.ZipFile(io.BytesIO(originals)) as made:
        assert SAID in made.read(f"{DONE}/transcript.txt").decode()
    for wrong in ("maria", "12", "%"):
        assert ada.get(ACCESS, params={"number": wrong}).status_code == 422
    empty = ada.get(ACCESS, params={"number": "+4930123456"}).content
    with zipfile.ZipFile(io.BytesIO(empty)) as made:
        assert json.loads(made.read("calls.json")) == []


def test_erasure_of_a_number_orders_its_calls_and_names_those_that_stay(signed_in: As, place: Seed) -> None:
    ada, sam = signed_in("ada"), signed_in("sam")
    sam.put(f"/api/v1/calls/{SUSPECT}/hold", json={"reason": "case 17"})
    page = ada.get("/retention", params={"number": NUMBER}).text
    assert "Erase 4 calls permanently" in page and "Download everything" in page
    answer = ada.post(f"{ACCESS}/erase", json={"number": NUMBER, "reason": "ticket 7"}).json()
    assert DONE in answer["ordered"] and len(answer["ordered"]) == 2
    assert "held by sam" in answer["refused"][SUSPECT] and len(answer["refused"]) == 2
    with place.database.read() as conn:
        order = erasures.get(conn, DONE)
    assert order is not None and (order.by, order.reason) == ("ada", "ticket 7")
    again = ada.post("/retention/erase", data={"number": NUMBER, "reason": "ticket 7"})
    assert again.status_code == 200 and "stays" in again.text


def test_saved_filters_with_a_number_are_exported_and_erased(signed_in: As) -> None:
    ada, maria, sam = signed_in("ada"), signed_in("maria"), signed_in("sam")
    about = [
        (maria, "Lena", "number=%2B1+212+555-0123"),
        (sam, "Local", "number=02125550123"),
        (sam, "Said", "q=12125550123"),
        (sam, "Typed", "q=gauge+number%3A%22212+555-0123%22"),
        (sam, "+1 (212) 555-0123", "reviewed=false"),
    ]
    others = [
        (maria, "Prefix", "number=%2B1212"),
        (sam, "Other", "number=%2B12125550199"),
        (sam, "End", "number=0123"),
        (sam, "To review", "reviewed=false&q=12125"),
    ]
    for person, name, query in about + others:
        assert person.post("/api/v1/filters", json={"name": name, "query": query}).status_code == 201
    with zipfile.ZipFile(io.BytesIO(ada.get(ACCESS, params={"number": NUMBER}).content)) as made:
        exported = json.loads(made.read("saved_filters.json"))
    assert [one["name"] for one in exported] == [name for _, name, _ in about]
    assert (
        f"4 calls, {len(about)} saved filters with this number"
        in ada.get("/retention", params={"number": NUMBER}).text
    )
    assert ada.post(f"{ACCESS}/erase", json={"number": NUMBER}).json()["filters"] == len(about)
    left = [one["name"] for who in (maria, sam) for one in who.get("/api/v1/filters").json()["filters"]]
    assert sorted(left) == sorted(name for _, name, _ in others)
    sam.post("/api/v1/filters", json={"name": "Local", "query": "number=02125550123"})
    assert "1 saved filter with" in ada.post("/retention/erase", data={"number": NUMBER}).text
