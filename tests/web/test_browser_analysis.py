"""The analysis of a call in a real Chromium: a person edits an item, another analysis comes, and the edit stays."""

import logging
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from callreel.domain.label import LabelColor
from callreel.domain.work import Workflow, order_key
from callreel.store.calls import labels
from callreel.web.options import WebOptions
from tests.support.fake_engine import FakeEngine
from tests.support.installation import eventually_blocking
from tests.support.language_model import (
    ABOUT_VALVE,
    COURSE,
    MODEL,
    analysing,
    asked,
    asking,
    completion,
    said,
    sentences,
)
from tests.support.rest_server import Answer
from tests.support.seed import DONE, NOON, Seed
from tests.web.axe import need_axe, serious_violations
from tests.web.chromium import serving
from tests.web.conftest import MakeApp

pytest_plugins = ("tests.web.chromium",)
CANCELLED = "request to the language model cancelled"

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PUT = """([path, body]) =>
    fetch(path, { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) })"""


def approve_meanwhile(card: Locator, button: str, text: str) -> None:
    """Press `button`; release it once the card shows that the item with `text` was approved elsewhere."""
    item = card.locator("[data-item]", has=card.page.get_by_text(text, exact=True))
    card.get_by_role("button", name=button).hover()
    card.page.mouse.down()
    path = f"/api/v1/calls/{DONE}/analysis/items/{item.get_attribute('data-item')}/state"
    card.page.evaluate(PUT, [path, {"state": "approved"}])
    expect(item.get_by_role("button", name="Approve")).to_have_count(0)
    card.page.mouse.up()


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
        # Someone else decides during a click: it neither becomes the other button's nor is it lost.
        sent: list[str | None] = []
        page.on(
            "request", lambda request: sent.append(request.post_data) if request.method == "PUT" else None
        )
        approve_meanwhile(card, "Approve: Close the valve.", "Close the valve.")
        approve_meanwhile(card, "Reject: Close the valve.", "Urgent")
        expect(card).to_contain_text("Rejected by demo")
        assert sent == [f'{{"state":"{state}"}}' for state in ("approved", "approved", "rejected")]
        expect(page.locator("#triage .label.red")).to_contain_text("Urgent")
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
        card.get_by_role("button", name="Reject: Close the valve.").press("Enter")
        expect(card).to_contain_text("Rejected by demo")
        # The button has gone; a second press must neither approve nor begin at the top of the page.
        expect(card.locator("[data-item] form:focus")).to_have_count(1)
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


def test_label_instructs_the_analysis_and_the_course_is_shown(
    page: Page, make_app: MakeApp, place: Seed
) -> None:
    with place.database.write() as conn:
        label = labels.add(conn, "Complaint", LabelColor.RED)
        labels.attach(conn, DONE, label.id, "maria", NOON)
    need_axe()
    options = WebOptions(demo=True, language_model=MODEL)
    with (
        serving(make_app(options), place) as url,
        analysing(place, completion({**ABOUT_VALVE, "sentiment": COURSE})) as (stage, server),
    ):
        page.goto(f"{url}/labels")
        page.get_by_role("button", name="Instructions of Complaint").click()
        page.get_by_label("Instructions", exact=True).fill("Say what failed.")
        page.get_by_role("button", name="Save instructions").click()
        expect(page.get_by_role("button", name="Instructions of Complaint")).to_have_text("Version 1")
        stage.analyse(DONE, "a")
        assert "Say what failed." in asked(server)[0]["messages"][0]["content"]
        page.goto(f"{url}/calls/{DONE}")
        card = page.locator("#analysis")
        expect(card).to_contain_text("with the instructions of Complaint (version 1)")
        expect(card.get_by_role("img", name="Neutral, then negative")).to_be_visible()
        card.get_by_text("Places: 3").click()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert serious_violations(page) == []
        card.get_by_role("button", name="Reject: Worried about the pressure.").click()
        expect(card.get_by_role("img", name="Neutral", exact=True)).to_be_visible()
        page.goto("about:blank")  # the server ends first


def test_question_about_filtered_calls_is_answered_with_links(
    page: Page, place: Seed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "callreel.web")
    answer = sentences(said("The unit on the roof <b>loses</b> pressure.", 2, 4), said("No one knows."))
    need_axe()
    stays = Answer(stays=True)
    with asking(place, stays, stays, stays, answer, demo=True) as (app, server), serving(app, place) as url:
        page.goto(f"{url}/?q=gauge")
        link = page.get_by_role("link", name="Ask about these calls")
        expect(link).to_have_attribute("href", "/ask?q=gauge")
        link.click()
        page.get_by_label("Question").fill("Which unit loses pressure?")
        page.get_by_role("button", name="Ask").click()
        status = page.locator("form").get_by_role("status")
        expect(status).to_have_text("Asking about part 1 of 1. 0 of 1 call read.")
        page.get_by_role("button", name="Cancel").click()
        expect(status).to_have_text("Cancelled. No further text is sent to the language model.")
        eventually_blocking(lambda: caplog.messages.count(CANCELLED) == 1)
        page.get_by_role("button", name="Ask").click()
        expect(status).to_contain_text("Asking about part 1")
        page.reload()  # a person who leaves cancels too
        eventually_blocking(lambda: caplog.messages.count(CANCELLED) == 2)
        page.evaluate(
            """() => {
                const headers = { "Content-Type": "application/json" };
                const signal = (window.leaving = new AbortController()).signal;
                fetch("/api/v1/questions", { method: "POST", headers, body: '{"question": "Why?"}', signal }).catch(() => 0);
            }"""
        )  # a program that leaves
        eventually_blocking(lambda: len(asked(server)) == 3)
        page.evaluate("window.leaving.abort()")
        eventually_blocking(lambda: caplog.messages.count(CANCELLED) == 3)
        page.get_by_label("Question").fill("Which unit loses pressure?")
        page.get_by_role("button", name="Ask").click()
        shown = page.get_by_role("region", name="Answer")
        expect(shown).to_contain_text("The unit on the roof <b>loses</b> pressure.")
        expect(shown).to_contain_text("Left out without a real turn: 1 sentence.")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert serious_violations(page) == []
        cited = shown.get_by_role("link", name="Call 1 at 0:12")
        expect(cited).to_have_attribute("href", f"/calls/{DONE}#t=12.6")
        page.goto("about:blank")  # the server ends first
    assert len(asked(server)) == 4
