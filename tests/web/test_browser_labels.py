"""Labels, review and assignment in a real Chromium: labels made on their page, given to a call, filtered by in the list."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.seed import DONE, SUSPECT, Seed

pytest_plugins = ("tests.web.chromium",)
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_label_is_made_given_and_filtered_by(page: Page, base_url: str, place: Seed) -> None:
    page.goto(f"{base_url}/labels")
    page.get_by_label("Name", exact=True).fill("complaint")
    page.get_by_label("Red").check()
    page.get_by_role("button", name="Add label").click()
    row = page.get_by_role("row", name="complaint")
    expect(row.get_by_role("combobox")).to_have_value("red")
    page.goto(f"{base_url}/calls/{DONE}")
    page.get_by_label("Label to add").select_option("complaint")
    page.locator("#triage").get_by_role("button", name="Add").click()
    expect(page.locator("#triage .label.red")).to_contain_text("complaint")
    page.goto(base_url)
    expect(page.locator(f"#call-{DONE} .label")).to_have_text("complaint")
    page.get_by_text("Filters", exact=True).click()
    page.locator("select[name=label]").select_option("complaint")
    expect(page).to_have_url(re.compile(r"/\?label=\d+$"))
    expect(page.locator(".call")).to_have_count(1)
    expect(page.locator(f"#call-{DONE} .label")).to_have_text("complaint")
    expect(page.locator(f"#call-{SUSPECT}")).to_have_count(0)
    page.goto(f"{base_url}/calls/{DONE}")
    page.get_by_role("button", name="Remove label complaint").click()
    expect(page.locator("#triage")).to_contain_text("No labels.")


def test_call_is_reviewed_and_assigned(page: Page, base_url: str, place: Seed) -> None:
    page.goto(f"{base_url}/calls/{DONE}")
    triage = page.locator("#triage")
    expect(triage.locator("form[inert]")).to_have_count(0)
    page.keyboard.press("r")
    expect(triage).to_contain_text("Reviewed by demo")
    triage.get_by_label("Assigned to").select_option("sam")
    triage.get_by_role("button", name="Assign").click()
    page.goto(f"{base_url}/?reviewed=true&assigned=sam")
    expect(page.locator(".call")).to_have_count(1)
    expect(page.locator(f"#call-{DONE} .labels")).to_have_text("Assigned to samReviewed by demo")
    page.locator("select[name=reviewed]").select_option("false")
    expect(page.locator(".call")).to_have_count(0)
    page.goto(f"{base_url}/calls/{DONE}")
    expect(triage.get_by_label("Assigned to")).to_have_value("sam")
    triage.get_by_role("button", name="Undo").click()
    expect(triage).to_contain_text("Not reviewed")


def test_filter_is_saved_as_a_link(page: Page, base_url: str, place: Seed) -> None:
    page.goto(f"{base_url}/?verdict=suspect&reviewed=false")
    page.get_by_label("Name for these filters").fill("Doubtful")
    page.get_by_role("button", name="Save", exact=True).click()
    link = page.get_by_role("link", name="Doubtful")
    expect(link).to_have_attribute("href", "/?verdict=suspect&reviewed=false")
    page.goto(base_url)
    link.click()
    expect(page.locator(".call")).to_have_count(1)
    page.get_by_role("button", name="Delete saved filter Doubtful").click()
    expect(link).to_have_count(0)


def test_selected_calls_are_changed_at_once_and_changed_back(page: Page, base_url: str, place: Seed) -> None:
    page.goto(base_url)
    expect(page.locator("[data-picking]")).to_be_attached()
    for key in ("j", "j", "x", "j", "x"):
        page.keyboard.press(key)
    bar = page.get_by_role("region", name="Selected calls")
    expect(bar).to_contain_text("2 calls selected")
    bar.get_by_role("button", name="Mark as reviewed").click()
    expect(bar).to_contain_text("2 calls changed")
    expect(page.locator(".call", has_text="Reviewed by demo")).to_have_count(2)
    expect(page.locator("[data-pick]:checked")).to_have_count(2)
    bar.get_by_role("button", name="Undo").click()
    expect(page.locator(".call", has_text="Reviewed by demo")).to_have_count(0)
    bar.get_by_role("button", name="Clear selection").click()
    expect(bar).to_be_hidden()
