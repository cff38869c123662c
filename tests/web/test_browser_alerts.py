"""Phrase rules and their alerts in a real Chromium."""

import pytest
from playwright.sync_api import Page, expect

from callreel.domain.call import Role
from callreel.store.calls import live_events, phrase_alerts
from tests.support.rows import a_rule
from tests.support.seed import LIVE, NOON, Seed

pytest_plugins = ("tests.web.chromium",)
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def raise_alert(place: Seed, segment: int, span_ms: tuple[int, int]) -> None:
    """An alert on what the technician says in the live call, as live transcription stores and publishes it."""
    rule = a_rule(place.database).rule
    with place.database.write() as conn:
        row = phrase_alerts.put(conn, LIVE, rule, Role.TECHNICIAN, f"technician-{segment}", NOON, span_ms)
        assert row is not None
        event = live_events.append(conn, row.event, NOON)
    place.bus.publish(event)


def test_rule_is_added_on_its_page(page: Page, base_url: str) -> None:
    page.goto(f"{base_url}/phrase-rules")
    expect(page.locator("[data-rules]")).to_contain_text("No rules yet.")
    page.get_by_label("Name", exact=True).fill("Greeting")
    page.get_by_label("Phrases, one per line").fill("good morning\ngood day")
    page.get_by_label("Said by").select_option("agent")
    page.get_by_label("Alert when").select_option("missing")
    page.get_by_label("Within the first seconds").fill("30")
    page.get_by_role("button", name="Add rule").click()
    rule = page.locator("[data-rules] li.endpoint")
    expect(rule).to_contain_text("not said by Agent in the first 30 s")
    expect(rule).to_contain_text("2 phrases")
    page.get_by_role("button", name="Disable: Greeting").click()
    expect(rule.locator(".badge")).to_have_text("disabled")
    page.get_by_role("button", name="Remove: Greeting").click()
    expect(page.locator("[data-rules]")).to_contain_text("No rules yet.")


def test_alert_appears_on_the_live_page_and_leads_to_the_moment(
    page: Page, base_url: str, place: Seed
) -> None:
    page.goto(f"{base_url}/calls/{LIVE}")
    expect(page.locator("#live .turn")).to_have_count(3)
    expect(page.locator("#alerts")).to_have_count(0)
    raise_alert(place, 1, (4_200, 7_000))
    alert = page.get_by_role("alert").filter(has_text="Alerts")
    expect(alert).to_contain_text("Refund, said by Technician: hello i am in front of the unit on the roof")
    expect(alert.get_by_role("link", name="0:04")).to_have_attribute("href", "#t=4.2")
