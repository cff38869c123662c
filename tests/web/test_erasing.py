"""Erasing and holding by page and by API: rights, the preview, progress, the result, and refusals."""

import re
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from callreel.carrier_client.client import CarrierRecordings
from callreel.carrier_client.rest import CarrierAccess
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.access import Scope
from callreel.domain.ids import CallId
from callreel.domain.work import Workflow
from callreel.postcall.durable import Steps
from callreel.postcall.workflows import Dispatcher
from callreel.retention.erasure import Eraser
from callreel.runtime.clock import Clock
from callreel.store.calls import calls, erasures, holds
from tests.support.fake_engine import FakeEngine
from tests.support.installation import ACCOUNT
from tests.support.seed import DONE, LIVE, NOON, SUSPECT, Seed
from tests.web.conftest import As, bearer

API = f"/api/v1/calls/{DONE}"
PAGE = f"/calls/{DONE}"
AWAY = "http://127.0.0.1:9"
"""No server listens on this port."""


def run_erasures(place: Seed, engine: FakeEngine, *, credentials: bool = True) -> int:
    """What the server does with orders while the carrier is unreachable; returns how many calls were erased."""
    access = CarrierAccess(AWAY, ACCOUNT, *(("SK1", "secret") if credentials else ("", "")), timeout_s=1)
    carrier, clock = CarrierRecordings(access), Clock()
    publisher = EventPublisher(place.database, place.bus, clock)
    erasing = Eraser(place.database, place.blobs, carrier, publisher, clock, unfinished=engine.unfinished)

    def erase(steps: Steps, key: str) -> None:
        for name, work in erasing.steps(CallId(key)):
            steps.run(name, work)

    engine.bodies[Workflow.ERASE] = erase
    with place.database.read() as conn:
        before = len(erasures.unfinished(conn))
    try:
        Dispatcher(place.database, engine, clock).sweep()
        engine.work()
    finally:
        carrier.close()
    with place.database.read() as conn:
        return before - len(erasures.unfinished(conn))


def is_there(place: Seed, call_id: CallId = DONE) -> bool:
    with place.database.read() as conn:
        return calls.get(conn, call_id) is not None


def test_call_is_erased_through_the_api_and_leaves_a_tombstone(
    signed_in: As, place: Seed, engine: FakeEngine
) -> None:
    ada = signed_in("ada")
    digests = {file["path"]: file["sha256"] for file in ada.get(API).json()["layers"]}
    asked = ada.delete(API, params={"reason": "ticket 7", "at_carrier": "false"})
    assert (asked.status_code, asked.headers["location"]) == (202, f"{API}/erasure")
    body = asked.json()
    assert (body["state"], body["by"], body["reason"], body["at_carrier"]) == (
        "in_progress", "ada", "ticket 7", False,
    )  # fmt: skip
    assert ada.get(API).json()["erasing"] is True
    listed = {call["call_id"]: call["erasing"] for call in ada.get("/api/v1/calls").json()["calls"]}
    assert [call_id for call_id, erasing in listed.items() if erasing] == [DONE]
    assert ada.delete(API, params={"at_carrier": "false"}).status_code == 202, "asked twice is asked once"
    assert run_erasures(place, engine) == 1 and not is_there(place)
    proof = ada.get(f"{API}/erasure").json()
    assert (proof["state"], proof["step"], proof["last_error"]) == ("done", None, None)
    assert {file["path"]: file["sha256"] for file in proof["files"]} == digests
    assert proof["recordings"][0]["outcome"] == "kept" and proof["rows"]["turns"] > 0
    assert ada.get("/api/v1/erasures").json()["erasures"] == [proof]
    assert [ada.get(API).status_code, ada.delete(API).status_code] == [404, 404]


def test_waiting_erasure_has_its_error_and_retry_time(signed_in: As, place: Seed, engine: FakeEngine) -> None:
    ada = signed_in("ada")
    ada.delete(API)
    assert run_erasures(place, engine) == 0 and is_there(place)
    waiting = ada.get(f"{API}/erasure").json()
    assert (waiting["state"], waiting["step"], waiting["attempts"]) == ("waiting", "carrier", 1)
    assert "cannot be reached" in waiting["last_error"] and waiting["retry_at"] > waiting["requested_at"]
    page = ada.get(f"{PAGE}/erase").text
    assert "Waiting after 1 attempt: the carrier cannot be reached" in page and "Retry now" in page
    assert '<noscript><meta http-equiv="refresh"' in page
    again = ada.post(f"{PAGE}/erase", data={"here_only": "true"})
    assert again.status_code == 303
    assert run_erasures(place, engine) == 1


@pytest.mark.parametrize(
    ("call_id", "says"),
    [(LIVE, "The call is still in progress"), (CallId("9" * 12), "There is no such call.")],
)
def test_call_that_cannot_be_erased_gets_the_reason(
    signed_in: As, place: Seed, call_id: CallId, says: str
) -> None:
    answer = signed_in("ada").delete(f"/api/v1/calls/{call_id}")
    assert answer.status_code == (409 if call_id == LIVE else 404)
    assert answer.json()["error"]["message"].startswith(says)
    with place.database.read() as conn:
        assert erasures.newest(conn) == []


def test_held_call_cannot_be_erased_and_is_marked(signed_in: As, place: Seed) -> None:
    ada, sam = signed_in("ada"), signed_in("sam")
    held = sam.put(f"{API}/hold", json={"reason": "case 17"})
    assert (held.status_code, held.json()["by"], held.json()["reason"]) == (200, "sam", "case 17")
    assert sam.put(f"{API}/hold", json={"reason": "again"}).status_code == 409
    assert sam.put(f"{API}/hold", json={"reason": " "}).status_code == 422
    refused = ada.delete(API)
    assert refused.status_code == 409
    assert refused.json()["error"]["message"].startswith("The call is held by sam since ")
    assert ada.get(API).json()["held"] is True
    assert [
        call["call_id"] for call in ada.get("/api/v1/calls", params={"held": "true"}).json()["calls"]
    ] == [DONE]
    assert [hold["call_id"] for hold in sam.get("/api/v1/holds").json()["holds"]] == [DONE]
    assert "case 17" in sam.get(PAGE).text and ">Legal hold</span>" in sam.get("/").text
    assert "case 17" in sam.get("/erasures").text
    assert sam.delete(f"{API}/hold").status_code == 422
    assert sam.delete(f"{API}/hold", params={"reason": "closed"}).status_code == 204
    assert sam.delete(f"{API}/hold", params={"reason": "closed"}).status_code == 409
    history = sam.get(f"{API}/hold").json()
    assert history["held"] is False and history["holds"][0]["release_reason"] == "closed"
    assert "Earlier legal holds: 1" in sam.get(PAGE).text
    assert ada.delete(API, params={"at_carrier": "false"}).status_code == 202
    assert sam.put(f"{API}/hold", json={"reason": "too late"}).status_code == 409


def test_hold_reasons_and_erasure_need_their_rights(signed_in: As, place: Seed) -> None:
    maria, sam, ada = (signed_in(name) for name in ("maria", "sam", "ada"))
    sam.put(f"{API}/hold", json={"reason": "case 17"})
    of_maria = maria.get(PAGE).text
    assert ">Legal hold</span>" in of_maria and "case 17" not in of_maria and "Retention" not in of_maria
    assert maria.get(f"{API}/hold").status_code == 403
    assert [who.delete(API).status_code for who in (maria, sam)] == [403, 403]
    sam.delete(f"{API}/hold", params={"reason": "closed"})
    assert "Erase this call" in ada.get(PAGE).text and "Erase this call" not in sam.get(PAGE).text
    assert sam.get(f"{PAGE}/erase").status_code == 403
    assert is_there(place)


def test_token_needs_the_erase_scope(signed_in: As, stranger: TestClient, place: Seed) -> None:
    writes = bearer(place, "ada", Scope.READ_CALLS, Scope.WRITE_CALLS)
    assert stranger.delete(API, headers=writes).status_code == 403
    of_sam = bearer(place, "sam", Scope.ERASE_CALLS)
    assert stranger.delete(API, headers=of_sam).status_code == 403
    assert stranger.put(f"{API}/hold", json={"reason": "x"}, headers=of_sam).status_code == 200
    assert stranger.delete(f"{API}/hold?reason=y", headers=of_sam).status_code == 204
    assert stranger.delete(API, headers=bearer(place, "ada", Scope.ERASE_CALLS)).status_code == 202


def test_cross_site_erasure_forms_are_refused(signed_in: As, place: Seed) -> None:
    ada = signed_in("ada")
    for path in (f"{PAGE}/erase", f"{PAGE}/hold", f"{PAGE}/release"):
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
            assert ada.post(path, data={"reason": "x"}, headers=headers).status_code == 403
    with place.database.read() as conn:
        assert erasures.newest(conn) == [] and holds.all_current(conn) == []


def test_erasure_pages_preview_confirm_follow_and_prove(
    signed_in: As, place: Seed, engine: FakeEngine
) -> None:
    ada = signed_in("ada")
    asks = ada.get(f"{PAGE}/erase").text
    for said in ("What is deleted", "What is kept", "Live, 8 kHz: 2 files", "At the carrier: recording <code>RE",
                 "Transcript turns: 5", "Search index entries: ", "Erase permanently"):  # fmt: skip
        assert said in asks, said
    too_long = ada.post(f"{PAGE}/erase", data={"reason": "x" * 501})
    assert too_long.status_code == 422 and "at most 500 characters" in too_long.text
    sent = ada.post(f"{PAGE}/erase", data={"reason": "ticket <7>", "here_only": "true"})
    assert (sent.status_code, sent.headers["location"]) == (303, f"{PAGE}/erase")
    under_way = ada.get(f"{PAGE}/erase").text
    assert "This call is being erased" in under_way and "ticket &lt;7&gt;" in under_way
    assert "Being erased" in ada.get("/").text and "Show progress" in ada.get(PAGE).text
    assert run_erasures(place, engine) == 1
    proof = ada.get(f"{PAGE}/erase").text
    assert "This call is erased" in proof and "kept, as requested" in proof
    assert re.search(r"<code>audio_recordings/[^<]+</code> <code[^>]*>[0-9a-f]{64}</code>", proof)
    assert "http-equiv" not in proof
    moved = ada.get(PAGE, headers={"Accept": "text/html"})
    assert (moved.status_code, moved.headers["location"]) == (303, f"{PAGE}/erase")
    assert signed_in("maria").get(PAGE).status_code == 404
    assert f"/calls/{DONE}/erase" in ada.get("/erasures").text


def test_refused_erasure_page_gives_the_reason_and_no_button(signed_in: As, place: Seed) -> None:
    ada = signed_in("ada")
    page = ada.get(f"/calls/{LIVE}/erase").text
    assert "The call is still in progress" in page and "Erase permanently" not in page
    posted = ada.post(f"/calls/{LIVE}/erase", data={})
    assert posted.status_code == 409 and "The call is still in progress" in posted.text
    assert ada.get(f"/calls/{'9' * 12}/erase").status_code == 404


def test_hold_and_release_work_by_form(signed_in: As, place: Seed) -> None:
    sam = signed_in("sam")
    page = f"/calls/{SUSPECT}"
    assert sam.post(f"{page}/hold", data={"reason": ""}).status_code == 422
    assert sam.post(f"{page}/hold", data={"reason": "case 17"}).headers["location"] == f"{page}#keeping"
    assert "Legal hold placed by sam," in sam.get(page).text
    assert sam.post(f"{page}/hold", data={"reason": "case 18"}).status_code == 409
    assert sam.post(f"{page}/release", data={"reason": "closed"}).status_code == 303
    assert sam.post(f"{page}/release", data={"reason": "closed"}).status_code == 409


def test_erasure_without_counts_is_shown(signed_in: As, place: Seed) -> None:
    """A tombstone with digests and without counts."""
    gone = CallId("f" * 12)
    with place.database.write() as conn:
        erasures.begin(
            conn, erasures.ErasureRow(gone, "policy", NOON, {"a.wav": None}, NOON + timedelta(seconds=1))
        )
    page = signed_in("ada").get(f"/calls/{gone}/erase").text
    assert "This call is erased" in page and "Not counted" in page and "no checksum" in page
