"""Incoming calls that the agent leaves unrecorded: the call continues, and nothing of its sound or words is kept anywhere."""

import base64
import sqlite3
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from playwright.sync_api import expect

from callreel.audio import mulaw
from callreel.domain.call import Direction, Role, Track
from callreel.simulator.scenario import CallOutcome
from callreel.simulator.sound.voices import load_voice, shipped_voice
from tests.end_to_end.house import ACCOUNT, AUTH_TOKEN, House
from tests.end_to_end.phone_house import (
    CALLING_MS,
    RAW_MICROPHONE,
    PhoneHouse,
    browser_with_microphone,
    wait_for_phone,
)
from tests.end_to_end.test_pauses import everything, noise

CALLER = "+12025550188"


def begin(house: House, number: str, ring_s: float) -> Future[CallOutcome]:
    """The technician speaks, so that there are live words; the agent's noise lasts until somebody hangs up."""
    spoken = load_voice(shipped_voice(Role.TECHNICIAN))
    incoming = replace(noise(), direction=Direction.INCOMING, number=number, ring_s=ring_s)
    return house.begin(
        replace(incoming, technician_voice=np.concatenate([spoken, incoming.technician_voice]))
    )


def live_call(house: House, number: str) -> dict[str, Any]:
    """The live call from `number`, once the server lists it."""
    found: list[dict[str, Any]] = []

    def listed() -> bool:
        found[:] = [
            call for call in house.client.get("/api/v1/calls").json()["calls"]
            if call["number"] == number and call["state"] == "live"
        ]  # fmt: skip
        return bool(found)

    house.until(listed, 20)
    return found[0]


def leave_unrecorded(house: House, call: dict[str, Any]) -> dict[str, Any]:
    answer = house.client.post(f"/api/v1/calls/{call['call_id']}/do-not-record")
    assert answer.status_code == 200, answer.text
    stamp: dict[str, Any] = answer.json()
    return stamp


def finished(house: House, call: dict[str, Any], placed: Future[CallOutcome]) -> dict[str, Any]:
    """The call after its end, once all that was captured is erased."""
    house.hang_up(call["call_id"])
    placed.result(120)
    house.closed_call(call["call_sid"])
    house.until(partial(_is_erased, house, call["call_id"]), 60)
    return house.call_of(call["call_id"])


def assert_nothing_is_kept(
    house: House, call: dict[str, Any], outcome: CallOutcome, recorded: dict[str, Any]
) -> None:
    """No stretch of what was sent, in any form in which it travels, is in a file of the installation, its log or database.

    The files of the call that was recorded are left out: its ringing tone and its technician are the same.
    """
    secrets: list[bytes] = []
    for stream in outcome.streams:
        for track in Track:
            sent = stream.tracks[track]
            for at in range(0, len(sent) - 160, 400):
                piece = sent[at : at + 36]
                if len(set(piece)) > 12:  # not silence
                    secrets += [piece, base64.b64encode(piece), mulaw.decode(piece).tobytes()]
    for path, content in everything(house).items():
        if recorded["call_id"] in path.name or recorded["call_sid"] in path.name:
            continue
        assert not any(piece in content for piece in secrets), path
    with sqlite3.connect(house.data_dir / "app.db") as rows:
        for table in ("finals", "spilled_segments", "layers", "turn_index"):
            query = f"SELECT count(*) FROM {table} WHERE call_id = ?"
            assert rows.execute(query, [call["call_id"]]).fetchone()[0] == 0, table
        said = "SELECT count(*) FROM live_events WHERE call_id = ? AND kind IN ('final', 'phrase_alert')"
        assert rows.execute(said, [call["call_id"]]).fetchone()[0] == 0
    assert (call["layers"], call["live_turns"], call["verdict"]) == ([], [], "explained")
    assert [reason["code"] for reason in call["reasons"]] == ["do_not_record"]


def recordings_there(house: House, call_sid: str) -> list[str]:
    """What the carrier still has of the call."""
    url = f"{house.carrier.api_url}/2010-04-01/Accounts/{ACCOUNT}/Recordings.json?CallSid={call_sid}"
    listed = httpx2.get(url, auth=(ACCOUNT, AUTH_TOKEN)).json()["recordings"]
    return [recording["sid"] for recording in listed]


def test_nothing_of_an_unrecorded_call_is_kept_here_or_at_the_carrier(tmp_path: Path) -> None:
    """One is chosen while it rings, one while people talk; one is recorded as ever; the server is killed in between."""
    with House(tmp_path, speed=2.0) as house:
        ringing, talking, kept = (f"{CALLER[:-1]}{digit}" for digit in "012")
        placed = {
            number: begin(house, number, ring_s)
            for number, ring_s in ((ringing, 8.0), (talking, 0.5), (kept, 0.5))
        }
        early = live_call(house, ringing)
        stamp = leave_unrecorded(house, early)
        assert (stamp["may_record"], stamp["recording_expected"]) == (False, False)
        call = live_call(house, talking)
        house.until(lambda: len(house.call_of(call["call_id"])["live_turns"]) > 0, 30)
        assert house.call_of(call["call_id"])["layers"]
        recorded = live_call(house, kept)
        leave_unrecorded(house, call)
        house.kill_server()
        house.start_server()
        for one in (early, call):
            assert house.client.post(f"/api/v1/calls/{one['call_id']}/pause").status_code == 409
        done = {
            number: finished(house, one, placed[number])
            for number, one in ((ringing, early), (talking, call))
        }
        house.hang_up(recorded["call_id"])
        outcomes = {number: future.result(120) for number, future in placed.items()}
        recorded = house.closed_call(recorded["call_sid"])
        for number, one in done.items():
            assert one["consent"]["stopped_at"] and one["state"] == "closed"
            assert recordings_there(house, one["call_sid"]) == []
            assert_nothing_is_kept(house, one, outcomes[number], recorded)
        assert outcomes[talking].recordings and outcomes[talking].streams, "both had begun"
        assert len(recordings_there(house, recorded["call_sid"])) == 1
        actions = [entry["action"] for entry in house.client.get("/api/v1/audit").json()["entries"]]
        assert actions.count("recording_stopped") == 2 and "recording_erased" in actions
    assert any(layer["layer"] == "cloud" for layer in recorded["layers"])
    assert any(layer["layer"] == "live_8k" for layer in recorded["layers"])


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_agent_leaves_an_incoming_call_unrecorded_on_the_phone(tmp_path: Path) -> None:
    with PhoneHouse(tmp_path) as house, browser_with_microphone(tmp_path) as browser:
        context = browser.new_context(permissions=["microphone"], locale="en-US")
        context.add_init_script(RAW_MICROPHONE)
        errors: list[str] = []
        context.on("weberror", lambda error: errors.append(str(error.error)))
        desk = context.new_page()
        desk.goto(house.url)
        wait_for_phone(desk)
        mark, choose = (
            desk.locator("recording-mark"),
            desk.get_by_role("button", name="Do not record this call"),
        )
        me = house.client.get("/api/v1/people/me").json()["identity"]
        ringing = house.start_in_carrier(house.carrier.ring_client(me, CALLER))
        choose.click(timeout=CALLING_MS)
        expect(mark).to_contain_text("Not recorded: chosen by the agent during the call.", timeout=CALLING_MS)
        expect(choose).to_be_hidden()
        desk.get_by_role("button", name="Accept").click()
        expect(desk.locator("[data-status]")).to_have_text("Talking to +1 202-555-0188")
        expect(mark).to_contain_text("Not recorded: chosen by the agent during the call.")
        expect(choose).to_be_hidden()
        expect(desk.get_by_role("button", name="Pause recording")).to_be_hidden()
        first = live_call(house, CALLER)
        desk.get_by_role("button", name="Hang up").click()
        ringing.result(60)

        wait_for_phone(desk)
        ringing = house.start_in_carrier(house.carrier.ring_client(me, CALLER))
        desk.get_by_role("button", name="Accept").click(timeout=CALLING_MS)
        expect(desk.locator("[data-live-words] .turn").first).to_be_visible(timeout=CALLING_MS)
        choose.click()
        expect(mark).to_contain_text("Not recorded", timeout=CALLING_MS)
        expect(desk.locator("[data-live-words] .turn")).to_have_count(0)
        second = live_call(house, CALLER)
        desk.screenshot(path=tmp_path / "phone.png")
        desk.get_by_role("button", name="Hang up").click()
        ringing.result(60)
        for call in (first, second):
            house.closed_call(call["call_sid"])
            house.until(partial(_is_erased, house, call["call_id"]), 60)
            desk.goto(f"{house.url}/calls/{call['call_id']}")
            expect(desk.locator("#consent")).to_contain_text("What was recorded until then was erased.")
            expect(desk.locator("#final")).to_contain_text(
                "This call was not recorded, so there is no transcript."
            )
            assert house.call_of(call["call_id"])["layers"] == []
        assert errors == []


def _is_erased(house: House, call_id: str) -> bool:
    return house.call_of(call_id)["consent"]["erased_at"] is not None
