"""Moments and topics in the API, the exports and on the pages: of whom they are, what they never show, and who reads them."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from callreel.insight.moment_kind import MomentKind
from callreel.store.calls import expired
from callreel.store.db.tables import transcripts
from callreel.store.insight import topics
from tests.support.seed import ABSENT, DONE, LIVE, SUSPECT, Seed
from tests.support.spoken_card import MASKED, redactor, say_card
from tests.web.conftest import As

API = f"/api/v1/calls/{DONE}"
PAGE = f"/calls/{DONE}"
GAUGE = {
    "kind": "question",
    "role": "agent",
    "start_ms": 8_300,
    "end_ms": 11_100,
    "text": "can you read me the pressure on the left gauge please",
}


@pytest.fixture
def english(place: Seed) -> Seed:
    """The seeded calls have English transcripts."""
    with place.database.write() as conn:
        conn.execute(update(transcripts).values(language="en"))
    return place


def correct(person: TestClient, turn: int, text: str) -> None:
    number = (person.get(API).json()["revision"] or {"number": 0})["number"]
    changes = [{"turn": turn, "text": text}]
    answer = person.post(f"{API}/revisions", json={"base": number, "changes": changes})
    assert answer.status_code == 201, answer.text


def test_moments_are_in_the_api_the_exports_and_on_the_page(signed_in: As, english: Seed) -> None:
    sam = signed_in("sam")
    assert sam.get(API).json()["moments"] == [GAUGE]
    assert sam.get(f"{PAGE}/transcript.json").json()["moments"] == [GAUGE]
    [report] = [
        part
        for part in sam.get(f"{API}/vcon").json()["analysis"]
        if part.get("schema") == "callreel-insight-1"
    ]
    assert (report["type"], report["body"]) == ("report", {"topic": None, "moments": [GAUGE]})
    page = sam.get(PAGE).text
    assert "Questions: 1" in page and '<a class="figure" href="#t=8.3" title="Play from here">' in page


def test_unknown_language_has_no_moments(ada: TestClient) -> None:
    assert ada.get(API).json()["moments"] == []
    assert 'id="moments" data-swap hidden>' in ada.get(PAGE).text


def test_moments_follow_a_correction_and_swapped_roles(signed_in: As, english: Seed) -> None:
    sam = signed_in("sam")
    correct(sam, 1, "hello i am really disappointed <b>")
    complaint, question = sam.get(API).json()["moments"]
    assert (complaint["kind"], complaint["role"], complaint["start_ms"]) == ("complaint", "technician", 4_200)
    assert question == GAUGE
    assert "disappointed &lt;b&gt;" in sam.get(PAGE).text
    sam.post(f"{API}/swap-roles", json={"swapped": True})
    assert [one["role"] for one in sam.get(API).json()["moments"]] == ["agent", "technician"]
    assert [one["role"] for one in sam.get(f"{PAGE}/transcript.json").json()["moments"]] == [
        "agent",
        "technician",
    ]


def test_moments_never_show_what_is_redacted(signed_in: As, place: Seed) -> None:
    say_card(place)
    with place.database.write() as conn:
        conn.execute(update(transcripts).values(language="en"))
    with redactor(place) as (stage, _):
        stage.redact(DONE)
    sam = signed_in("sam")
    [moment] = sam.get(API).json()["moments"]
    assert (moment["kind"], moment["text"] in MASKED) == ("number", True)
    assert "4111" not in moment["text"]
    [original] = sam.get(f"{API}?original=true").json()["moments"]
    assert "4111" in original["text"]
    maria = signed_in("maria")
    assert maria.get(f"{API}?original=true").status_code == 403
    assert maria.get(API).json()["moments"] == [moment]


def test_moments_of_a_live_call_wait_for_its_transcript(signed_in: As, english: Seed) -> None:
    assert signed_in("sam").get(f"/api/v1/calls/{LIVE}").json()["moments"] == []


def test_agents_read_moments_of_their_own_calls_only(signed_in: As, english: Seed) -> None:
    assert signed_in("maria").get(API).json()["moments"] == [GAUGE]
    assert signed_in("zoe").get(API).status_code == 404


TOPIC = "<b>left gauge</b>, valve"


@pytest.fixture
def about(place: Seed) -> Seed:
    """The finished call has a topic, with markup in it."""
    with place.database.write() as conn:
        topics.set_due(conn, DONE)
        [(_, version)] = [row for row in topics.due(conn, 10) if row[0] == DONE]
        assert topics.put(conn, DONE, version, TOPIC)
    return place


def test_topic_is_in_lists_calls_and_exports(signed_in: As, about: Seed) -> None:
    sam = signed_in("sam")
    listed = {call["call_id"]: call["topic"] for call in sam.get("/api/v1/calls").json()["calls"]}
    assert (listed[DONE], listed[SUSPECT]) == (TOPIC, None)
    assert sam.get(API).json()["topic"] == sam.get(f"{PAGE}/transcript.json").json()["call"]["topic"] == TOPIC
    [report] = [
        part
        for part in sam.get(f"{API}/vcon").json()["analysis"]
        if part.get("schema") == "callreel-insight-1"
    ]
    assert report["body"] == {"topic": TOPIC, "moments": []}
    for page in (sam.get("/").text, sam.get(PAGE).text):
        assert '<span class="visually-hidden">Topic: </span>&lt;b&gt;left gauge&lt;/b&gt;, valve</p>' in page
    correct(sam, 1, "hello i am in front of it")
    assert sam.get(API).json()["topic"] is None, "until one of the new text is found"


def test_agents_read_topics_of_their_own_calls_only(signed_in: As, about: Seed) -> None:
    [mine] = [
        call for call in signed_in("maria").get("/api/v1/calls").json()["calls"] if call["call_id"] == DONE
    ]
    assert mine["topic"] == TOPIC
    assert TOPIC not in signed_in("zoe").get("/api/v1/calls").text


def first_words(person: TestClient) -> dict[str, str | None]:
    return {call["call_id"]: call["first_words"] for call in person.get("/api/v1/calls").json()["calls"]}


def test_call_without_a_topic_shows_its_first_words(signed_in: As, place: Seed) -> None:
    sam = signed_in("sam")
    assert first_words(sam) == {
        DONE: "good morning this is the service desk – hello i am in front of the unit on the …",
        LIVE: None,
        SUSPECT: None,
        ABSENT: None,
    }
    correct(sam, 0, "<b>Morning</b>.")
    shown = '<span class="visually-hidden">First words: </span>“&lt;b&gt;Morning&lt;/b&gt;. – hello i am'
    assert shown in sam.get("/").text
    assert first_words(signed_in("zoe")) == {}
    with place.database.write() as conn:
        topics.set_due(conn, DONE)
        assert topics.put(conn, DONE, dict(topics.due(conn, 10))[DONE], TOPIC)
    assert first_words(sam)[DONE] is None


def test_first_words_are_redacted_and_deleted_with_the_text(signed_in: As, place: Seed) -> None:
    say_card(place)
    with redactor(place) as (stage, _):
        stage.redact(DONE)
    sam = signed_in("sam")
    assert "[card number]" in str(first_words(sam)[DONE]) and "4111" not in str(first_words(sam)[DONE])
    with place.database.write() as conn:
        expired.delete_text(conn, DONE)
    assert first_words(sam)[DONE] is None


def test_list_is_filtered_by_moments(signed_in: As, place: Seed) -> None:
    with place.database.write() as conn:
        for call_id, kind in ((DONE, MomentKind.COMPLAINT), (SUSPECT, MomentKind.THANKS)):
            topics.set_due(conn, call_id)
            version = dict(topics.due(conn, 10))[call_id]
            assert topics.put(conn, call_id, version, None, {kind})
    sam, zoe = signed_in("sam"), signed_in("zoe")

    def found(person: TestClient, kind: str) -> list[str]:
        return [call["call_id"] for call in person.get(f"/api/v1/calls?moment={kind}").json()["calls"]]

    assert (found(sam, "complaint"), found(sam, "thanks"), found(sam, "promise")) == ([DONE], [SUSPECT], [])
    assert found(zoe, "complaint") == []
    assert sam.get("/api/v1/calls?moment=joke").status_code == 422
