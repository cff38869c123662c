"""The analysis of a call in a real Chromium: a person edits an item, another analysis comes, and the edit stays."""

import re

import pytest
from playwright.sync_api import Page, expect

from callreel.domain.label import LabelColor
from callreel.domain.work import Workflow, order_key
from callreel.store.calls import labels
from tests.support.fake_engine import FakeEngine
from tests.support.language_model import ABOUT_VALVE, analysing, completion, said
from tests.support.seed import DONE, Seed

pytest_plugins = ("tests.web.chromium",)
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_edit_stays_when_the_call_is_analysed_again(page: Page, base_url: str, place: Seed) -> None:
    with place.database.write() as conn:
        labels.add(conn, "Urgent", LabelColor.RED)
    again = {**ABOUT_VALVE, "summary": said("Another summary.", 1), "reason": said("Another reason.", 2)}
    with analysing(place, completion(ABOUT_VALVE), completion(again)) as (stage, _):
        engine = FakeEngine({Workflow.ANALYSE: stage.workflow})
        page.goto(f"{base_url}/calls/{DONE}")
        card = page.locator("#analysis")
        expect(page.locator("[data-turns]")).to_be_visible()
        expect(card).to_have_count(0)
        engine.work_on(Workflow.ANALYSE, order_key(DONE, "1"))  # the open page shows it
        expect(card).to_contain_text("By language model test-model")
        expect(card.locator("form[inert]")).to_have_count(0)
        summary = card.locator("[data-item]").first
        summary.get_by_text("Edit", exact=True).click()
        summary.get_by_label("Text").fill("The roof unit loses pressure.")
        summary.get_by_role("button", name="Save").click()
        expect(card).to_contain_text("Edited by demo")
        card.get_by_role("button", name="Approve: Urgent").click()
        expect(page.locator("#triage .label.red")).to_contain_text("Urgent")
        card.get_by_role("button", name="Reject: Close the valve.").click()
        expect(card).to_contain_text("Rejected by demo")
        engine.work_on(Workflow.ANALYSE, order_key(DONE, "2"))
    expect(card.locator("[data-text]")).to_have_text(
        ["The roof unit loses pressure.", "Another reason.", "Urgent"]
    )
    card.get_by_role("link", name="Technician at 0:04").first.click()
    expect(page).to_have_url(re.compile(r"#t=4\.2$"))


def test_text_being_edited_stays_when_another_item_is_decided(page: Page, base_url: str, place: Seed) -> None:
    later = {**ABOUT_VALVE, "summary": said("Another summary.", 1), "action_items": []}
    with analysing(place, completion(ABOUT_VALVE), completion(later)) as (stage, _):
        stage.analyse(DONE, "a")
        page.goto(f"{base_url}/calls/{DONE}")
        card = page.locator("#analysis")
        summary = card.locator("[data-item]").first
        summary.get_by_text("Edit", exact=True).click()
        summary.get_by_label("Text").fill("Half of a")
        card.get_by_role("button", name="Reject: Close the valve.").click()
        expect(card).to_contain_text("Rejected by demo")
        expect(card.get_by_label("Text").first).to_have_value("Half of a")
        stage.analyse(DONE, "b")
        card.get_by_role("button", name="Approve: Close the valve.").click()
        expect(card).to_contain_text("Another summary.")
    field = card.locator("details[open]").get_by_label("Text")
    expect(field).to_have_value("Half of a")
    field.fill("A whole sentence.")
    card.locator("details[open]").get_by_role("button", name="Save").click()
    expect(card.locator("[data-text]").first).to_have_text("A whole sentence.")
    expect(card.locator("details[open]")).to_have_count(0)
