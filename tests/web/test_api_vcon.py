"""A call as a vCon: valid by the draft's rules, with digests of what its addresses send, and masked as other exports."""

import base64
import hashlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from callreel.domain.access import Scope
from callreel.domain.consent import Answer, Mode, OnDecline, Stamp
from callreel.formats.vcon import identifier
from callreel.store.calls import consents
from callreel.store.db.tables import calls as call_table
from callreel.store.db.tables import legs as leg_table
from tests.support.rows import audit_entries
from tests.support.seed import ABSENT, DONE, LIVE, NOON, SUSPECT, Seed
from tests.web.conftest import As, bearer

STAMP = Stamp(
    call_id=DONE, mode=Mode.ASK, policy_version=1, rule="all", notice="recorded", on_decline=OnDecline.END, answer=Answer.GRANTED,
    answered_at=NOON, answered_by="key",
)  # fmt: skip
SCHEMA = json.loads((Path(__file__).parents[1] / "formats" / "vcon_schema.json").read_text())
VALIDATOR = jsonschema_rs.validator_for(SCHEMA, validate_formats=True)


def checked(browser: TestClient, call_id: str, **parameters: Any) -> dict[str, Any]:
    """The vCon of a call, after its schema and its indices were checked."""
    answer = browser.get(f"/api/v1/calls/{call_id}/vcon", params=parameters)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/vcon+json"
    assert f'filename="call_{call_id}.vcon"' in answer.headers["Content-Disposition"]
    found: dict[str, Any] = answer.json()
    errors = [f"{error.instance_path}: {error.message}" for error in VALIDATOR.iter_errors(found)]
    assert errors == []
    for dialog in found["dialog"]:
        of_dialog = dialog["parties"] if isinstance(dialog["parties"], list) else [dialog["parties"]]
        assert set(of_dialog) <= set(range(len(found["parties"])))
    for part in (*found["analysis"], *found["attachments"]):
        about = part.get("dialog", [])
        assert set(about if isinstance(about, list) else [about]) <= set(range(len(found["dialog"])))
        assert part.get("party", 0) < len(found["parties"])
    return found


def analysis(found: dict[str, Any], kind: str) -> dict[str, Any]:
    [one] = [part for part in found["analysis"] if part["type"] == kind]
    body: dict[str, Any] = one["body"]
    return body


def test_call_has_parties_recording_transcript_and_verdict(ada: TestClient) -> None:
    found = checked(ada, DONE)
    agent, technician, callreel = found["parties"]
    assert (agent["name"], technician["tel"], callreel["type"]) == ("maria", "+12125550123", "organization")
    [dialog] = found["dialog"]
    assert (dialog["type"], dialog["parties"], dialog["mediatype"]) == ("recording", [0, 1], "audio/x-wav")
    assert dialog["url"] == f"https://calls.example/calls/{DONE}/layers/cloud.wav"
    sent = ada.get(dialog["url"]).content
    digest = base64.urlsafe_b64encode(hashlib.sha512(sent).digest()).decode().rstrip("=")
    assert dialog["content_hash"] == f"sha512-{digest}"
    transcript = analysis(found, "transcript")
    assert transcript["kind"] == "final"
    assert [turn["party"] for turn in transcript["turns"]] == [0, 1, 0, 1, 0]
    assert transcript["turns"][0]["text"].startswith("good morning")
    assert transcript["turns"][0]["words"]
    assert analysis(found, "report")["verdict"] == "verified"
    assert checked(ada, DONE)["uuid"] == found["uuid"], "the same at each export"


def test_consent_notes_and_pauses_are_attachments(ada: TestClient, place: Seed) -> None:
    with place.database.write() as conn:
        consents.insert(conn, STAMP)
    assert ada.post(
        f"/api/v1/calls/{DONE}/notes", json={"kind": "note", "at_ms": 5, "text": "a leak"}
    ).is_success
    found = {part["purpose"]: part for part in checked(ada, DONE)["attachments"]}
    assert set(found) == {"consent", "notes"}
    assert found["consent"]["body"]["answer"] == "granted"
    assert found["notes"]["body"][0]["text"] == "a leak"


def test_other_calls_are_valid_too(ada: TestClient, place: Seed) -> None:
    assert checked(ada, LIVE)["analysis"][0]["body"]["kind"] == "live"
    layers = checked(ada, SUSPECT)["dialog"]
    assert {dialog["type"] for dialog in layers} <= {"recording"}
    with place.database.write() as conn:
        conn.execute(update(call_table).where(call_table.c.id == ABSENT).values(answered_at=None))
        child = (leg_table.c.call_id == ABSENT, leg_table.c.parent_sid.is_not(None))
        conn.execute(update(leg_table).where(*child).values(status="busy"))
        conn.exec_driver_sql("DELETE FROM layers")
    [dialog] = checked(ada, ABSENT)["dialog"]
    assert dialog["type"] == "incomplete"


def test_swapped_roles_are_those_of_the_page(ada: TestClient) -> None:
    swapped = ada.post(f"/calls/{DONE}/swap-roles", data={"swapped": "true"})
    assert swapped.status_code == 303
    found = checked(ada, DONE)
    assert found["dialog"][0]["parties"] == [1, 0]
    assert found["dialog"][0]["originator"] == 0
    assert [turn["party"] for turn in analysis(found, "transcript")["turns"]] == [1, 0, 1, 0, 1]


def test_redacted_text_and_audio_stay_redacted_without_the_right(
    signed_in: As, stranger: TestClient, place: Seed
) -> None:
    sam, maria = signed_in("sam"), signed_in("maria")
    whole = checked(sam, DONE)
    stretch = {"role": "agent", "start_ms": 800, "end_ms": 2_000}
    assert sam.post(f"/api/v1/calls/{DONE}/redactions", json=stretch).status_code == 201
    masked = checked(maria, DONE)
    assert "good morning" in json.dumps(whole) and "good morning" not in json.dumps(masked)
    assert masked["dialog"][0]["content_hash"] != whole["dialog"][0]["content_hash"]
    assert masked["redacted"] == {"type": "sensitive data", "uuid": whole["uuid"]}
    assert masked["uuid"] != whole["uuid"] and "redacted" not in whole
    assert maria.get(f"/api/v1/calls/{DONE}/vcon?original=true").status_code == 403
    original = checked(sam, DONE, original=True)
    assert original["uuid"] == whole["uuid"]
    assert analysis(original, "transcript") == analysis(whole, "transcript")
    assert original["dialog"][0]["url"].endswith(".wav?original=true")
    reads = bearer(place, "sam", Scope.READ_CALLS)
    path = f"/api/v1/calls/{DONE}/vcon?original=true"
    assert stranger.get(path, headers=reads).status_code == 403


def test_withheld_call_has_neither_text_nor_audio(ada: TestClient, place: Seed) -> None:
    with place.database.write() as conn:
        conn.execute(update(call_table).where(call_table.c.id == DONE).values(redaction_awaited=True))
    found = checked(ada, DONE)
    assert [part["type"] for part in found["analysis"]] == ["report"]
    assert [set(dialog) for dialog in found["dialog"]] == [{"type", "start", "parties"}]
    assert "redacted" in found


def test_export_is_in_the_audit_trail(ada: TestClient, place: Seed) -> None:
    checked(ada, DONE)
    entry = audit_entries(place.database)[-1]
    assert (entry.action, entry.actor, entry.call_id) == ("exported", "ada", DONE)


def test_identifier_is_a_version_8_uuid_of_call_and_domain() -> None:
    first = identifier("0123456789ab", NOON, "calls.example", redacted=False)
    others = {
        identifier("1123456789ab", NOON, "calls.example", redacted=False),
        identifier("0123456789ab", NOON + timedelta(seconds=1), "calls.example", redacted=False),
        identifier("0123456789ab", NOON, "other.example", redacted=False),
        identifier("0123456789ab", NOON, "calls.example", redacted=True),
    }
    assert first[14] == "8" and first[19] in "89ab"
    assert len(others | {first}) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"vcon": "0.3.0"},
        {"uuid": "1"},
        {"parties": None},
        {"dialog": [{"type": "recording", "start": "2026-11-22T12:00:00Z", "parties": 0, "url": "http://x"}]},
        {"dialog": [{"type": "incomplete", "start": "2026-11-22T12:00:00Z", "parties": 0}]},
        {"analysis": [{"type": "transcript", "vendor": "x", "encoding": "json"}]},
        {"attachments": [{"purpose": "consent"}]},
        {"appended": {}},
    ],
)
def test_schema_refuses_what_the_draft_forbids(change: dict[str, Any]) -> None:
    least = {
        "vcon": "0.4.0",
        "uuid": identifier("0123456789ab", NOON, "calls.example", redacted=False),
        "created_at": "2026-11-22T12:00:00.000+00:00",
        "parties": [{}],
    }
    assert VALIDATOR.is_valid(least)
    assert not VALIDATOR.is_valid(least | change)
