"""Phrase rules, their alerts and the wall in a real Chromium."""

import re

import pytest
from playwright.sync_api import Page, expect

from callreel.domain.call import CallState, Role
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.pause import PauseCause
from callreel.domain.transcript import Final, Segment, Word
from callreel.store.calls import calls, live_events, pauses, phrase_alerts
from callreel.store.transcripts import finals
from tests.support.rows import a_rule
from tests.support.seed import LIVE, NOON, Seed, record
from tests.web.axe import need_axe, serious_violations
from tests.web.test_listening import capturing

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
    page.get_by_role("button", name="Edit: Greeting").click()
    expect(page.get_by_role("heading", name="Edit Greeting")).to_be_visible()
    expect(page.get_by_label("Phrases, one per line")).to_have_value("good morning\ngood day")
    page.get_by_label("Alert when").select_option("said")
    page.get_by_label("Phrases, one per line").fill("goodbye")
    page.get_by_role("button", name="Save rule").click()
    expect(rule).to_contain_text("1 phrase")
    expect(rule).to_contain_text("said by Agent")
    expect(rule).not_to_contain_text("not said")
    expect(page.get_by_role("button", name="Add rule")).to_be_visible()
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
    raise_alert(place, 2, (20_000, 20_400))
    expect(alert.locator("[data-without-words]")).to_have_text("0:20 Refund, said by Technician")
    words = (Word("a", 20_000, 20_200), Word("refund", 20_200, 20_400))
    with place.database.write() as conn:
        finals.put(conn, LIVE, Final(Segment(Role.TECHNICIAN, 9, 20_000, 20_400), words))
    data: dict[str, Json] = {
        "role": "technician",
        "number": 9,
        "start_ms": 20_000,
        "end_ms": 20_400,
        "text": "a refund",
    }
    place.bus.publish(record(place, LIVE, EventKind.FINAL, **data))
    expect(alert).to_contain_text("Refund, said by Technician: a refund")
    expect(alert).to_contain_text("Refund, said by Technician: hello i am in front of the unit on the roof")
    expect(alert.get_by_role("link", name="0:04")).to_have_attribute("href", "#t=4.2")


def test_wall_follows_live_calls_by_one_stream(page: Page, base_url: str, place: Seed) -> None:
    streams: list[str] = []
    page.on("request", lambda request: streams.append(request.url) if "/events" in request.url else None)
    page.goto(f"{base_url}/wall")
    row = page.locator(f"#call-{LIVE}")
    expect(page.locator("[data-call]")).to_have_count(1)
    expect(row).to_contain_text("can you read me the pressure")
    expect(row.locator("[data-since]")).to_have_text(re.compile(r"\d:\d\d"))
    place.bus.publish(
        record(place, LIVE, EventKind.FINAL, role="technician", number=7, text="about forty bars")
    )
    expect(row.locator("[data-words]")).to_have_text("Technician about forty bars")
    talk: dict[str, Json] = {"agent_talk_ms": 3_000, "technician_talk_ms": 1_000, "silence_ms": 5_000}
    place.bus.publish(LiveEvent(LIVE, EventKind.LEVEL, talk))
    expect(row.locator("[data-talk]")).to_have_text("Talk ratio: Agent 75%, Technician 25% · Silence 0:05")
    raise_alert(place, 1, (4_200, 7_000))
    banner = page.get_by_role("alert")
    expect(banner).to_contain_text("Refund, said by Technician:")
    expect(row.locator(".wall-alerts")).to_have_text("Refund 0:04")
    expect(row.locator("[data-talk]")).to_contain_text("Agent 75%")
    with place.database.write() as conn:
        pauses.begin(conn, LIVE, PauseCause.PERSON, "sam", NOON)
    place.bus.publish(record(place, LIVE, EventKind.PAUSE, paused=True))
    expect(row.locator(".state")).to_have_text("Paused")
    banner.get_by_role("link").click()
    page.wait_for_url(f"{base_url}/calls/{LIVE}#t=4.2")
    page.go_back()
    with place.database.write() as conn:
        calls.set_state(conn, LIVE, CallState.ENDED, NOON)
    place.bus.publish(record(place, LIVE, EventKind.CALL, state="ended"))
    expect(page.locator("#calls")).to_contain_text("No calls now.")
    assert len([url for url in streams if "/events?" in url and "kinds=" in url]) == 2  # one for each visit


def test_supervisor_listens_from_the_wall_and_on_the_page_of_the_call(
    page: Page, base_url: str, place: Seed
) -> None:
    need_axe()
    received = page.locator("call-listening[data-received-ms]")
    with capturing(place) as capture:
        page.goto(f"{base_url}/wall")
        listen = page.get_by_role("button", name="Listen to the call of maria")
        listen.click()
        expect(listen).to_have_attribute("aria-pressed", "true")
        expect(page.locator("[data-listening-state]")).to_have_text("Listening")
        capture.speak(2_000)
        expect(page.locator("[data-listening-state]")).to_have_text(
            re.compile("Listening to maria → .* for 0:01")
        )
        assert serious_violations(page) == []
        place.bus.publish(record(place, LIVE, EventKind.CALL, state="live"))
        expect(listen).to_have_attribute("aria-pressed", "true")
        page.get_by_role("button", name="Stop listening").click()
        expect(received).to_have_count(0)
        page.goto(f"{base_url}/calls/{LIVE}")
        expect(page.get_by_role("button", name="Listen")).to_be_visible()
        page.keyboard.press("l")
        expect(page.locator("[data-listening-state]")).to_have_text("Listening")
        capture.speak(320)
        expect(received).to_have_attribute("data-received-ms", "320")
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        with place.database.write() as conn:
            calls.set_state(conn, LIVE, CallState.ENDED, NOON)
        place.bus.publish(record(place, LIVE, EventKind.CALL, state="ended"))
        explained = page.get_by_role("alert").filter(has_text="Listening ended")
        expect(explained).to_have_text("Listening ended: the call is over.")
        expect(page.locator("recording-pause")).to_have_count(0)  # the page has followed the end of the call
        expect(explained).to_be_visible()
        expect(page.get_by_role("button", name="Listen")).to_have_count(0)
    expect(page.locator("#accesses")).to_have_count(1)
    page.reload()
    expect(page.locator("#accesses")).to_contain_text("listened")


def test_wall_of_a_hidden_page_is_drawn_anew_without_replay(page: Page, base_url: str, place: Seed) -> None:
    page.clock.install()
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url) if "/events" in request.url else None)
    page.goto(f"{base_url}/wall")
    expect(page.locator("[data-since]").first).not_to_be_empty()
    hide = "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true}); document.dispatchEvent(new Event('visibilitychange')); }"
    page.evaluate(hide, True)
    page.clock.fast_forward(31_000)
    missed = record(place, LIVE, EventKind.CALL, state="live")
    with place.database.write() as conn:
        calls.set_state(conn, LIVE, CallState.ENDED, NOON)
    with page.expect_request(re.compile("/events")):
        page.evaluate(hide, False)
    expect(page.locator("#calls")).to_contain_text("No calls now.")
    assert requested[-1].endswith(f"after={missed.id}")
