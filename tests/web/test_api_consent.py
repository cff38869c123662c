"""The recording policy by API: for administrators by session, validated, versioned, and tried on a number."""

import hashlib
from typing import Any

import numpy as np
import pytest

from callreel.audio import wav
from callreel.domain.access import Scope
from callreel.domain.consent import Answer, Mode, Stamp
from callreel.domain.ids import CallId, LegSid
from callreel.store.calls import consents
from tests.support.seed import DONE, NOON, Seed
from tests.web.conftest import As, bearer

NOTICE = {
    "name": "Question",
    "wordings": [{"language": "en-US", "text": "Agree?", "yes": ["yes"], "no": ["no"]}],
}
RULE = {"name": "all", "mode": "ask", "notice": "Question", "on_decline": "end", "countries": ["US"]}
POLICY: dict[str, Any] = {"version": 0, "rules": [RULE], "notices": [NOTICE], "agents_may_skip": False}


def test_policy_is_saved_with_versions_of_itself_and_its_notices(signed_in: As) -> None:
    ada = signed_in("ada")
    first = ada.get("/api/v1/consent").json()
    assert (first["version"], first["rules"], first["by"]) == (0, [], None)
    assert {notice["name"] for notice in first["notices"]} == {"Announcement", "Question"}
    saved = ada.put("/api/v1/consent", json=POLICY).json()
    assert (saved["version"], saved["by"], saved["rules"][0]["on_decline"]) == (1, "ada", "end")
    assert saved == ada.get("/api/v1/consent").json()
    changed = {**NOTICE, "wordings": [{"language": "en-US", "text": "Do you agree?"}]}
    again = ada.put("/api/v1/consent", json={**POLICY, "version": 1, "notices": [changed]}).json()
    assert (again["version"], again["notices"][0]["version"]) == (2, saved["notices"][0]["version"] + 1)
    stale = ada.put("/api/v1/consent", json={**POLICY, "version": 1})
    assert stale.status_code == 409 and "reload" in stale.json()["error"]["message"]


@pytest.mark.parametrize(
    "change",
    [
        {"rules": [{**RULE, "mode": "maybe"}]},
        {"rules": [{**RULE, "notice": "None of them"}]},
        {"rules": [{**RULE, "prefixes": ["0049"]}]},
        {"rules": [{**RULE, "countries": ["Germany"]}]},
        {"rules": [RULE, RULE]},
        {"notices": [{"name": "Question", "wordings": []}]},
        {"notices": [{"name": "Question", "wordings": [{"language": "English!", "text": "?"}]}]},
        {"notices": [{"name": "Question", "wordings": [{"language": "en", "text": "?", "sound": "a" * 64}]}]},
        {"surprise": True},
    ],
)
def test_invalid_policy_changes_nothing(signed_in: As, change: dict[str, object]) -> None:
    ada = signed_in("ada")
    assert ada.put("/api/v1/consent", json={**POLICY, **change}).status_code == 422
    assert ada.get("/api/v1/consent").json()["version"] == 0


@pytest.mark.parametrize("name", ["sam", "maria"])
def test_policy_is_for_administrators(signed_in: As, name: str) -> None:
    browser = signed_in(name)
    assert [browser.get(path).status_code for path in ("/consent", "/api/v1/consent")] == [403, 403]
    assert browser.put("/api/v1/consent", json=POLICY).status_code == 403
    assert browser.post("/api/v1/consent/preview", json={"direction": "outgoing"}).status_code == 403
    assert browser.post("/api/v1/consent/sounds", content=b"").status_code == 403


def test_no_token_may_change_the_policy(stranger: Any, place: Seed) -> None:
    headers = bearer(place, "ada", *Scope)
    assert stranger.put("/api/v1/consent", json=POLICY, headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("call", "mode", "rule", "country"),
    [
        ({"direction": "outgoing", "number": "(212) 555-0123"}, "ask", "all", "US"),
        ({"direction": "incoming", "number": "+49 30 123456"}, "none", None, "DE"),
        ({"direction": "incoming", "number": "nonsense"}, "none", None, None),
    ],
)
def test_preview_names_the_rule(
    signed_in: As, call: dict[str, str], mode: str, rule: str | None, country: str | None
) -> None:
    ada = signed_in("ada")
    draft = ada.post("/api/v1/consent/preview", json={**call, "policy": POLICY}).json()
    assert (draft["mode"], draft["rule"], draft["country"]) == (mode, rule, country)
    assert ada.post("/api/v1/consent/preview", json=call).json()["rule"] is None, "the draft is not saved"


def test_sound_is_uploaded_and_public_by_its_digest(signed_in: As, stranger: Any) -> None:
    ada = signed_in("ada")
    body = wav.header(16_000, 8_000, 1) + np.zeros(8_000, "<i2").tobytes()
    kind = {"Content-Type": "audio/wav"}
    answer = ada.post("/api/v1/consent/sounds", content=body, headers=kind)
    digest = hashlib.sha256(body).hexdigest()
    assert (answer.status_code, answer.json()) == (201, {"sha256": digest, "duration_ms": 1000})
    got = stranger.get(f"/notices/{digest}.wav")
    assert (got.content, got.headers["content-type"]) == (body, "audio/wav")
    assert stranger.get(f"/notices/{'0' * 64}.wav").status_code == 404
    wordings = [{"language": "en-US", "text": "Agree?", "sound": digest}]
    saved = ada.put(
        "/api/v1/consent", json={**POLICY, "notices": [{"name": "Question", "wordings": wordings}]}
    )
    assert saved.json()["notices"][0]["wordings"][0]["sound"] == digest
    mp3 = ada.post("/api/v1/consent/sounds", content=b"ID3" + bytes(100), headers=kind)
    assert mp3.status_code == 422
    assert ada.post("/api/v1/consent/sounds", content=bytes(1 << 21), headers=kind).status_code == 413


def test_stamp_is_shown_and_exported(signed_in: As, place: Seed) -> None:
    stamp = Stamp(
        call_id=CallId(DONE), mode=Mode.ASK, policy_version=3, rule="California", notice="Question", notice_version=2,
        language="en-US", leg_sid=LegSid("CA" + "7" * 32), played_at=NOON, answer=Answer.GRANTED, answered_at=NOON,
        answered_by="word", capture_at=NOON,
    )  # fmt: skip
    with place.database.write() as conn:
        consents.insert(conn, stamp)
    ada = signed_in("ada")
    assert ada.get(f"/api/v1/calls/{DONE}").json()["consent"] == stamp.summary
    page = ada.get(f"/calls/{DONE}").text
    for part in (
        "Recorded with consent.",
        "California, policy version 3",
        "Question, version 2, en-US",
        "by word",
    ):
        assert part in page
    exported = ada.get(f"/calls/{DONE}/transcript.json").json()
    assert exported["call"]["consent"]["answered_by"] == "word"
    assert "Recorded with consent." in ada.get(f"/calls/{DONE}/transcript.txt").text


def test_page_lists_jurisdictions_without_legal_advice(signed_in: As) -> None:
    page = signed_in("ada").get("/consent").text
    assert "not legal advice" in page and "<consent-policy" in page
