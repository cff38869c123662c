"""What the audit trail has of requests that show or search calls, of failures, and who may read it."""

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from callreel.domain.access import Scope
from callreel.domain.errors import StoreError
from callreel.store.audit import accesses, trail
from callreel.store.calls import layers
from callreel.web.app import WebOptions
from callreel.web.auth import auditor
from tests.support.rows import audit_entries
from tests.support.seed import DONE, NUMBER, SAID, Seed
from tests.web.conftest import PASSWORD, As, MakeApp, bearer, enter

LAYER = f"/calls/{DONE}/layers/cloud.wav"
AUDIO = {"Sec-Fetch-Dest": "audio"}
Entries = Callable[[], list[Any]]


@pytest.fixture
def entries(place: Seed) -> Entries:
    """All entries, after all open accesses have ended."""

    def settled() -> list[Any]:
        accesses.settle(place.database, datetime.now(UTC) + timedelta(hours=1))
        return audit_entries(place.database)

    return settled


def size_of(place: Seed) -> int:
    with place.database.read() as conn:
        return next(file.size_bytes for file in layers.of_call(conn, DONE) if file.layer == "cloud")


def test_playback_is_one_entry_with_the_parts_sent(ada: TestClient, place: Seed, entries: Entries) -> None:
    second, end = 32_000, size_of(place) - 1
    for first, last in ((0, 44 + second - 1), (44 + second, 44 + 2 * second - 1), (end - 3199, end)):
        assert ada.get(LAYER, headers={**AUDIO, "Range": f"bytes={first}-{last}"}).status_code == 206
    assert ada.get(LAYER, headers={**AUDIO, "Range": f"bytes={end + 1}-"}).status_code == 416
    assert ada.head(LAYER).status_code == 200
    [open_accesses] = ada.get(f"/api/v1/calls/{DONE}/accesses").json()["accesses"]
    assert (open_accesses["number"], open_accesses["actor"], open_accesses["action"]) == (
        None,
        "ada",
        "played",
    )
    [entry] = entries()
    assert (entry.action, entry.actor, entry.call_id, entry.subject) == ("played", "ada", DONE, "cloud")
    assert entry.details["sent_ms"] == [[0, 2000], [2400, 2500]] and entry.details["requests"] == 3


def test_download_and_unchanged_file(ada: TestClient, entries: Entries) -> None:
    etag = ada.get(LAYER).headers["etag"]
    assert ada.get(LAYER, headers={"If-None-Match": etag}).status_code == 304
    [entry] = entries()
    assert (entry.action, entry.details["sent_ms"]) == ("downloaded", [[0, 2500]])


def test_opened_call_export_and_token(
    signed_in: As, place: Seed, entries: Entries, stranger: TestClient
) -> None:
    maria = signed_in("maria")
    for path in (f"/calls/{DONE}", f"/api/v1/calls/{DONE}", f"/calls/{DONE}"):
        assert maria.get(path).status_code == 200
    header = bearer(place, "sam", Scope.READ_CALLS)
    assert stranger.get(f"/calls/{DONE}/transcript.csv", headers=header).status_code == 200
    assert stranger.get("/calls/ffffffffffff/transcript.csv", headers=header).status_code == 404
    exported, opened = entries()
    assert (opened.action, opened.actor, opened.via) == ("call_viewed", "maria", "session")
    assert (exported.action, exported.actor, exported.via, exported.subject) == (
        "exported",
        "sam",
        "token",
        "csv",
    )


@pytest.mark.parametrize(("kept", "subjects"), [(False, [""]), (True, ["roof", "roof valve"])])
def test_search_text_is_stored_only_by_policy(
    make_app: MakeApp, place: Seed, entries: Entries, kept: bool, subjects: list[str]
) -> None:
    browser = TestClient(make_app(WebOptions(audit_search_text=kept)), base_url="https://calls.example")
    ada = enter(browser, place, "ada")
    for query in ("?q=roof", "?q=roof", "?q=roof+valve", "?agent=maria", ""):
        assert ada.get(f"/api/v1/calls{query}").status_code == 200
    found = entries()
    assert {entry.action for entry in found} == {"searched"}
    assert sorted(entry.subject for entry in found) == subjects


def test_failed_sign_ins_are_stored_without_unknown_names(stranger: TestClient, entries: Entries) -> None:
    for name, password in (("ada", "wrong"), ("ada", "worse"), (PASSWORD, "ada"), ("ada", PASSWORD)):
        stranger.post("/sign-in", data={"name": name, "password": password})
    stranger.cookies.clear()
    assert stranger.get("/api/v1/calls", headers={"Authorization": "Bearer crt_wrong"}).status_code == 401
    stored = {(entry.action, entry.actor): entry.details.get("requests") for entry in entries()}
    assert stored == {
        ("signed_in", "ada"): None,
        ("sign_in_failed", "ada"): 2,
        ("sign_in_failed", ""): 1,
        ("token_refused", ""): 1,
    }
    assert PASSWORD not in str(entries())


def test_reason_is_required_before_playback(make_app: MakeApp, place: Seed, entries: Entries) -> None:
    app = make_app(WebOptions(playback_reason=True))
    sam, maria = (
        enter(TestClient(app, base_url="https://calls.example", follow_redirects=False), place, name)
        for name in ("sam", "maria")
    )
    refused = sam.get(LAYER, headers=AUDIO)
    assert refused.status_code == 403 and refused.json()["error"]["code"] == "reason_required"
    assert "Reason for listening" in (page := sam.get(f"/calls/{DONE}").text) and "<audio" not in page
    assert sam.post(f"/calls/{DONE}/reason", data={"reason": "  "}).status_code == 422
    assert sam.post(f"/calls/{DONE}/reason", data={"reason": "ticket 4711"}).status_code == 303
    assert sam.get(LAYER, headers=AUDIO).status_code == 200
    assert maria.get(LAYER).status_code == 403
    assert "<audio" in sam.get(f"/calls/{DONE}").text
    played = [entry for entry in entries() if entry.action == "played"]
    assert [(entry.actor, entry.reason) for entry in played] == [("sam", "ticket 4711")]


def test_old_reason_does_not_count(
    make_app: MakeApp, place: Seed, ada: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(WebOptions(playback_reason=True))
    browser = enter(TestClient(app, base_url="https://calls.example"), place, "ada")
    assert browser.post(f"/api/v1/calls/{DONE}/reason", json={"reason": "case 17"}).status_code == 204
    assert browser.get(LAYER).status_code == 200
    monkeypatch.setattr(auditor, "REASON_VALID", timedelta(0))
    assert browser.get(LAYER).status_code == 403


def test_no_answer_without_its_entry(ada: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise StoreError("the database is full")

    monkeypatch.setattr(trail, "record", broken)
    answer = ada.get(f"/calls/{DONE}/transcript.txt")
    assert answer.status_code == 503 and SAID[0][2] not in answer.text


def test_supervisors_see_who_listened(signed_in: As) -> None:
    sam, maria = signed_in("sam"), signed_in("maria")
    maria.get(LAYER, headers=AUDIO)
    page = sam.get(f"/calls/{DONE}").text
    assert "Who listened to this call" in page and "<strong>maria</strong>: played" in page
    assert "Who listened" not in maria.get(f"/calls/{DONE}").text
    assert maria.get(f"/api/v1/calls/{DONE}/accesses").status_code == 403
    assert maria.get("/audit").status_code == sam.get("/audit").status_code == 403


def test_trail_is_filtered_paged_and_exported(signed_in: As, place: Seed, entries: Entries) -> None:
    sam, ada = signed_in("sam"), signed_in("ada")
    for at_ms in range(5):
        sam.post(
            f"/api/v1/calls/{DONE}/notes", json={"kind": "note", "at_ms": at_ms, "text": "=secret words"}
        )
    ada.put("/api/v1/vocabulary", json={"phrases": ["gauge"]})
    first = ada.get("/api/v1/audit?actor=sam&limit=3").json()
    assert [entry["number"] for entry in first["entries"]] == [5, 4, 3] and first["next_before"] == 3
    rest = ada.get("/api/v1/audit?actor=sam&limit=3&before=3").json()
    assert [entry["number"] for entry in rest["entries"]] == [2, 1] and rest["next_before"] is None
    page = ada.get("/audit?actor=&action=note_added&from=2026-01-01&call=").text
    assert page.count(f'href="/calls/{DONE}"') == 5 and "Vocabulary replaced</td>" not in page
    assert ada.get("/audit?action=odd").status_code == 422
    rows = list(csv.DictReader(ada.get("/audit/trail.csv?action=note_added").text.splitlines()))
    whole = json.loads(ada.get("/audit/trail.json").text)["entries"]
    assert [row["digest"] for row in rows] == [entry["digest"] for entry in whole[:5]]
    assert [entry["action"] for entry in whole[5:]] == [
        "vocabulary_replaced",
        "trail_exported",
        "trail_exported",
    ]
    assert "secret words" not in str(whole) and NUMBER not in str(whole)
    assert [entry.details for entry in entries()[-2:]] == [{"filters": {"action": "note_added"}}, {}]


def test_token_reads_the_trail_by_its_scope(stranger: TestClient, place: Seed) -> None:
    header = bearer(place, "ada", Scope.READ_AUDIT)
    assert stranger.get("/api/v1/audit", headers=header).json() == {"entries": [], "next_before": None}
    assert stranger.get("/api/v1/calls", headers=header).status_code == 403


@pytest.mark.parametrize(("kinds", "subjects"), [("final,call", ["live calls"]), ("call,verdict", [])])
def test_following_the_words_of_all_calls_is_an_access(
    signed_in: As, place: Seed, kinds: str, subjects: list[str]
) -> None:
    sam = signed_in("sam")
    place.bus.close()  # the stream ends after the replay
    assert sam.get(f"/events?kinds={kinds}").status_code == 200
    with place.database.read() as conn:
        found = accesses.still_open(conn, limit=9)
    assert [row.subject for row in found] == subjects
    assert {(row.actor, row.action) for row in found} <= {("sam", "call_viewed")}
