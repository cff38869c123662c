"""The report of a week in a real Chromium."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from callreel.domain.mail import MailState
from callreel.store.mail import report_mails
from callreel.web.options import WebOptions
from tests.end_to_end.album import Album
from tests.support.seed import NOON, SUSPECT, Seed
from tests.web.axe import need_axe, serious_violations
from tests.web.call_list import add_measures
from tests.web.chromium import serving
from tests.web.conftest import MakeApp

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


def test_operations_show_who_got_the_report_by_mail(
    page: Page, place: Seed, make_app: MakeApp, tmp_path: Path
) -> None:
    need_axe()
    failures = {"lead@example.com": "", "chief@example.com": "the mail server does not answer"}
    with place.database.write() as conn:
        report_mails.put(conn, "2026-W47", failures, NOON)
        for row in report_mails.of_week(conn, "2026-W47"):
            failure = failures[row.recipient]
            report_mails.note(conn, row, MailState.PENDING if failure else MailState.SENT, NOON, failure)
    album = Album(tmp_path)
    page.set_viewport_size({"width": 1200, "height": 700})
    with serving(make_app(WebOptions(demo=True, mails_report=True)), place) as url:
        page.goto(f"{url}/operations")
        card = page.get_by_role("region", name="Weekly report by mail, 2026-W47")
        expect(card.get_by_role("listitem")).to_contain_text(
            ["c…@example.com not sent yet: the mail server does not answer", "l…@example.com sent"]
        )
        assert serious_violations(page) == []
        card.evaluate("card => scrollTo(0, card.getBoundingClientRect().top + scrollY - 30)")
        album.take(page, "report-mail", [card], scrolled=True)
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert album.checked() == {"report-mail-light.png", "report-mail-dark.png"}


def test_report_counts_days_in_the_readers_time_zone(browser: Browser, base_url: str) -> None:
    context = browser.new_context(timezone_id="Pacific/Kiritimati")
    page = context.new_page()
    page.goto(f"{base_url}/report?week=2026-W48")
    expect(page.locator("main")).to_contain_text(re.compile(r"2026-11-23, 02:00: 4 calls"))
    expect(page.locator("main")).not_to_contain_text("(UTC)")
    context.close()
