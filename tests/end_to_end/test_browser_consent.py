"""The recording policy in the browser: an administrator writes a rule, and the phone shows what it means for a call."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.end_to_end.phone_house import (
    CALLING_MS,
    RAW_MICROPHONE,
    PhoneHouse,
    browser_with_microphone,
    call_id_of,
    talk,
    wait_for_phone,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]


def test_policy_is_written_tried_and_shown_on_the_phone(tmp_path: Path) -> None:
    with PhoneHouse(tmp_path) as house, browser_with_microphone(tmp_path) as browser:
        context = browser.new_context(permissions=["microphone"])
        context.add_init_script(RAW_MICROPHONE)
        errors: list[str] = []
        context.on("weberror", lambda error: errors.append(str(error.error)))
        page = context.new_page()
        page.goto(f"{house.url}/consent")
        expect(page.get_by_text("No rules: every call is recorded")).to_be_visible()
        page.get_by_label("Rule name").fill("Washington")
        page.locator("select[name=mode]").select_option("announce")
        page.locator("select[name=notice]").select_option("Announcement")
        page.get_by_label("Numbers or prefixes").fill("+1202")
        page.get_by_role("button", name="Put rule in the list").click()
        page.get_by_label("Number to try").fill("(202) 555-0177")
        page.get_by_role("button", name="Try").click()
        expect(page.get_by_text("Rule “Washington”: the call is recorded after a notice.")).to_be_visible()
        expect(page.get_by_text("United States requires consent of one party")).to_be_visible()
        page.get_by_role("button", name="Save policy").click()
        expect(page.get_by_text("Version 1", exact=True)).to_be_visible()
        page.screenshot(path=tmp_path / "policy.png", full_page=True)

        desk = context.new_page()
        desk.goto(house.url)
        wait_for_phone(desk)
        mark = desk.locator("recording-mark")
        talk(desk)
        expect(mark).to_have_text("Recorded after a notice.", timeout=CALLING_MS)
        pause = desk.get_by_role("button", name="Pause recording")
        expect(pause).to_be_visible()
        desk.get_by_role("button", name="Hang up").click()

        wait_for_phone(desk)
        desk.get_by_label("Do not record the next call").check()
        desk.get_by_label("Phone number").fill("")
        talk(desk)
        expect(mark).to_have_text("Not recorded: chosen by the agent.", timeout=CALLING_MS)
        expect(desk.locator("recording-pause")).to_have_count(1)
        expect(pause).to_be_hidden()
        desk.screenshot(path=tmp_path / "phone.png")
        call_id = call_id_of(desk)
        desk.get_by_role("button", name="Hang up").click()
        expect(desk.get_by_label("Do not record the next call")).not_to_be_checked()
        house.until(lambda: house.client.get(f"/api/v1/calls/{call_id}").json()["state"] == "closed", 60)
        desk.goto(f"{house.url}/calls/{call_id}")
        expect(desk.locator("#consent")).to_contain_text("Not recorded: chosen by the agent.")
        expect(desk.locator("#verdict")).to_contain_text("The agent chose not to record this call")
        expect(desk.locator("#final")).to_contain_text(
            "This call was not recorded, so there is no transcript."
        )
        expect(desk.locator("[data-light=cloud]")).to_have_text("not available")
        desk.screenshot(path=tmp_path / "call.png", full_page=True)
        call = house.client.get(f"/api/v1/calls/{call_id}").json()
        assert (call["verdict"], call["layers"], call["recording"]["state"]) == ("explained", [], "missing")
        assert errors == []
