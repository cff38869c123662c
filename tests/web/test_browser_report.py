"""The report of a week in a real Chromium."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.seed import SUSPECT, Seed
from tests.web.axe import need_axe, serious_violations
from tests.web.test_measures import add_measures

pytest_plugins = ("tests.web.chromium",)
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_report_leads_to_calls_and_filtered_lists(page: Page, base_url: str, place: Seed) -> None:
    need_axe()
    add_measures(place)
    page.goto(f"{base_url}/report?week=2026-W48")
    page.get_by_role("link", name="Week before").click()
    expect(page.get_by_role("heading", name="Week 2026-W47")).to_be_visible()
    review = page.locator("section", has=page.get_by_role("heading", name="Calls to review"))
    expect(review.locator(".why").first).to_have_text("Verdict Suspect · 1:00 of silence")
    expect(review.locator(".who a").first).to_have_attribute("href", f"/calls/{SUSPECT}")
    assert serious_violations(page) == []
    page.get_by_role("link", name="At least 60 s of silence").click()
    expect(page.locator(".call")).to_have_count(1)
    expect(page.locator(f"#call-{SUSPECT}")).to_be_visible()


def test_report_counts_days_in_the_readers_time_zone(browser: Browser, base_url: str) -> None:
    context = browser.new_context(timezone_id="Pacific/Kiritimati")
    page = context.new_page()
    page.goto(f"{base_url}/report?week=2026-W48")
    expect(page.locator("main")).to_contain_text(re.compile(r"2026-11-23, 02:00: 4 calls"))
    expect(page.locator("main")).not_to_contain_text("(UTC)")
    context.close()
