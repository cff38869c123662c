"""Analyses of calls by API and page: who may see, order, approve, edit and reject, and that people's words stay."""

import csv
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.access import Scope
from callreel.domain.audit import AuditAction
from callreel.domain.label import LabelColor
from callreel.domain.work import Workflow
from callreel.postcall.workflows import Dispatcher
from callreel.retention.legal_hold import LegalHolds
from callreel.runtime.clock import Clock
from callreel.store.audit import trail
from callreel.store.calls import calls, labels, outbox
from callreel.web.options import WebOptions
from tests.support.fake_engine import FakeEngine
from tests.support.language_model import ABOUT_VALVE, COURSE, MODEL, analysing, completion, said
from tests.support.seed import DONE, LIVE, NUMBER, Seed
from tests.support.spoken_card import OPTIONS
from tests.web.conftest import As, MakeApp, bearer, browser_of

API = f"/api/v1/calls/{DONE}"
ANALYSIS = f"{API}/analysis"
AGAIN: dict[str, Any] = {
    **ABOUT_VALVE,
    "summary": said("A later summary.", 1),
    "reason": said("<b>Pressure</b> https://evil.example/x", 2),
    "action_items": [{**said("Call back.", 5), "owner": "agent", "due": None}],
    "sentiment": COURSE,
}


@pytest.fixture
def analysed(place: Seed) -> Callable[[str], None]:
    """Runs the stage with one of two recorded answers."""
    with place.database.write() as conn:
        labels.add(conn, "Urgent", LabelColor.RED)

    def run(name: str) -> None:
        with analysing(place, completion(ABOUT_VALVE if name == "first" else AGAIN)) as (stage, _):
            stage.analyse(DONE, name)

    run("first")
    return run


def items(browser: TestClient) -> dict[str, dict[str, Any]]:
    return {item["kind"]: item for item in browser.get(API).json()["analysis"]["items"]}


def address(item: dict[str, Any], what: str) -> str:
    return f"{ANALYSIS}/items/{item['id']}/{what}"


def test_what_a_person_wrote_stays_through_later_runs(analysed: Callable[[str], None], signed_in: As) -> None:
    maria = signed_in("maria")
    found = items(maria)
    wanted = {"text": "Close the valve, then wait.", "role": "agent", "due": "today"}
    assert maria.put(address(found["action"], "text"), json=wanted).status_code == 204
    assert maria.put(address(found["summary"], "text"), json={"text": "Mine."}).status_code == 204
    assert maria.put(address(found["reason"], "state"), json={"state": "rejected"}).status_code == 204
    analysed("again")
    after = maria.get(API).json()["analysis"]["items"]
    assert [(item["kind"], item["text"], item["state"], item["by"]) for item in after] == [
        ("summary", "Mine.", "approved", "maria"),
        ("reason", AGAIN["reason"]["text"], "suggested", None),
        ("action", "Close the valve, then wait.", "approved", "maria"),
        ("action", "Call back.", "suggested", None),
        ("label", "Urgent", "suggested", None),
        *(("sentiment", COURSE[n]["text"], "suggested", None) for n in (2, 0, 1)),
    ]
    assert (after[2]["role"], after[2]["due"], after[2]["edited"]) == ("agent", "today", True)
    runs = maria.get(ANALYSIS).json()["runs"]
    assert [run["number"] for run in runs] == [2, 1]
    assert [item["text"] for item in runs[0]["items"] if item["kind"] == "summary"] == ["A later summary."]
    assert [item["state"] for item in runs[1]["items"] if item["kind"] == "reason"] == ["rejected"]


def test_approved_label_is_given_to_the_call(
    analysed: Callable[[str], None], signed_in: As, place: Seed
) -> None:
    maria = signed_in("maria")
    label = items(maria)["label"]
    assert maria.get(API).json()["labels"] == []
    assert maria.put(address(label, "text"), json={"text": "Other"}).status_code == 409
    assert maria.put(address(label, "state"), json={"state": "approved"}).status_code == 204
    assert [one["name"] for one in maria.get(API).json()["labels"]] == ["Urgent"]
    with place.database.read() as conn:
        entry = trail.newest(conn, AuditAction.ANALYSIS_ITEM_CHANGED)
    assert entry is not None and entry.call_id == DONE and entry.actor == "maria"
    assert entry.details["state"] == "approved" and entry.subject == str(label["id"])


def test_deleted_label_is_suggested_no_more(analysed: Callable[[str], None], signed_in: As) -> None:
    sam = signed_in("sam")
    [row] = sam.get("/api/v1/labels").json()["labels"]
    label = items(sam)["label"]
    assert sam.delete(f"/api/v1/labels/{row['id']}").status_code == 200
    assert "label" not in items(sam)
    assert sam.put(address(label, "state"), json={"state": "approved"}).status_code == 404


def test_only_people_of_the_call_change_its_items(
    analysed: Callable[[str], None], signed_in: As, stranger: TestClient, place: Seed
) -> None:
    summary = items(signed_in("sam"))["summary"]
    zoe = signed_in("zoe")
    for what, body in (("state", {"state": "approved"}), ("text", {"text": "Hers."})):
        assert zoe.put(address(summary, what), json=body).status_code == 404
        assert stranger.put(address(summary, what), json=body).status_code == 401
        reads = bearer(place, "sam", Scope.READ_CALLS)
        assert stranger.put(address(summary, what), json=body, headers=reads).status_code == 403
    assert zoe.get(ANALYSIS).status_code == 404
    elsewhere = f"/api/v1/calls/{LIVE}/analysis/items/{summary['id']}/text"
    assert signed_in("sam").put(elsewhere, json={"text": "x"}).status_code == 404
    assert items(signed_in("sam"))["summary"] == summary


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("text", {"text": ""}),
        ("text", {"text": "  "}),
        ("text", {"text": "x" * 2_001}),
        ("text", {"text": "x", "role": "boss"}),
        ("text", {"text": "x", "state": "approved"}),
        ("text", {"text": "x", "sentiment": "furious"}),
        ("state", {"state": "suggested"}),
        ("state", {}),
    ],
)
def test_wrong_values_are_refused(
    analysed: Callable[[str], None], signed_in: As, what: str, body: dict[str, Any]
) -> None:
    maria = signed_in("maria")
    summary = items(maria)["summary"]
    assert maria.put(address(summary, what), json=body).status_code == 422
    assert items(maria)["summary"] == summary


def test_held_call_keeps_its_items(analysed: Callable[[str], None], signed_in: As, place: Seed) -> None:
    publisher = EventPublisher(place.database, place.bus, Clock())
    LegalHolds(place.database, publisher, Clock()).hold(DONE, "case 17", "sam")
    maria = signed_in("maria")
    summary = items(maria)["summary"]
    assert maria.put(address(summary, "text"), json={"text": "Mine."}).status_code == 409
    assert maria.put(address(summary, "state"), json={"state": "rejected"}).status_code == 409
    assert items(maria)["summary"] == summary


def test_supervisor_orders_an_analysis_where_a_model_is_set(
    signed_in: As, make_app: MakeApp, place: Seed, engine: FakeEngine
) -> None:
    sam = signed_in("sam")
    assert signed_in("maria").post(ANALYSIS).status_code == 403
    without = browser_of(make_app(WebOptions()), place, "sam")
    assert without.post(ANALYSIS).status_code == 409, "no language model is set"
    assert sam.post(f"/api/v1/calls/{LIVE}/analysis").status_code == 409
    policy = make_app(WebOptions(language_model=MODEL, redaction=OPTIONS))
    assert browser_of(policy, place, "sam").post(ANALYSIS).status_code == 409, "the call was not redacted"
    for _ in range(2):
        assert sam.post(ANALYSIS).status_code == 202
    with place.database.write() as conn:
        calls.locked(conn, DONE)
        outbox.put(conn, DONE, Workflow.REDACT, DONE, Clock().now())
        assert [order.workflow for order in outbox.all_orders(conn)] == [Workflow.ANALYSE, Workflow.REDACT]
    with analysing(place, completion(ABOUT_VALVE)) as (stage, server):
        engine.bodies = {Workflow.ANALYSE: stage.workflow, Workflow.REDACT: lambda steps, key: None}
        assert Dispatcher(place.database, engine, Clock()).sweep() == 2
        engine.work()
        assert len(server.seen) == 1
    assert sam.get(API).json()["analysis"]["number"] == 1
    with place.database.read() as conn:
        entry = trail.newest(conn, AuditAction.ANALYSIS_ORDERED)
    assert entry is not None and (entry.actor, entry.call_id) == ("sam", DONE)


def test_page_shows_the_model_and_no_markup_of_its_text(
    analysed: Callable[[str], None], signed_in: As
) -> None:
    analysed("again")
    page = signed_in("maria").get(f"/calls/{DONE}").text
    assert f"By language model {MODEL}" in page
    assert "&lt;b&gt;Pressure&lt;/b&gt; https://evil.example/x" in page and 'href="https://evil' not in page
    assert 'href="#t=4.2"' in page or "#t=4.2" in page, "a link to the turn"


def test_sentiment_is_drawn_for_each_party_and_corrected(
    analysed: Callable[[str], None], signed_in: As
) -> None:
    analysed("again")
    maria = signed_in("maria")
    page = maria.get(f"/calls/{DONE}").text
    assert 'aria-label="Neutral, then negative"' in page and 'aria-label="Positive"' in page
    [worried] = [
        item
        for item in maria.get(API).json()["analysis"]["items"]
        if item["text"] == "Worried about the pressure."
    ]
    wanted = {"text": "Calm.", "role": "agent", "sentiment": "positive"}
    assert maria.put(address(worried, "text"), json=wanted).status_code == 204
    rows = csv.DictReader(maria.get(f"/calls/{DONE}/transcript.csv").text.splitlines())
    assert [row["sentiment"] for row in rows] == ["positive", "neutral", "positive", "positive", "positive"]
    assert 'aria-label="Neutral, then positive"' in maria.get(f"/calls/{DONE}").text
    [calm] = [item for item in maria.get(API).json()["analysis"]["items"] if item["text"] == "Calm."]
    assert (calm["role"], calm["sentiment"], calm["state"]) == ("technician", "positive", "approved")
    assert maria.put(address(calm, "state"), json={"state": "rejected"}).status_code == 204
    assert 'aria-label="Neutral"' in maria.get(f"/calls/{DONE}").text


def test_exports_have_the_analysis(analysed: Callable[[str], None], signed_in: As) -> None:
    sam = signed_in("sam")
    exported = sam.get(f"/calls/{DONE}/transcript.json").json()["call"]["analysis"]
    assert exported["items"] == sam.get(API).json()["analysis"]["items"]
    [summary] = [one for one in sam.get(f"{API}/vcon").json()["analysis"] if one["type"] == "summary"]
    assert summary["body"]["items"] == exported["items"] and summary["product"] == MODEL


def test_export_about_a_number_has_every_revision(analysed: Callable[[str], None], signed_in: As) -> None:
    analysed("again")
    answer = signed_in("ada").get("/api/v1/subject-access", params={"number": NUMBER})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        runs = json.loads(archive.read(f"{DONE}/analysis.json"))
        assert [name for name in archive.namelist() if name.endswith("analysis.json")] == [
            f"{DONE}/analysis.json"
        ]
    assert [run["number"] for run in runs] == [2, 1]


def test_settings_page_says_whether_the_server_answers(make_app: MakeApp, place: Seed) -> None:
    options = WebOptions(language_model=MODEL)
    answers = browser_of(make_app(options), place, "ada").get("/settings").text
    assert f"<code>{MODEL}</code>" in answers and ">Answers<" in answers
    down = replace(options, language_model_fault=lambda: "the server answered 500")
    assert "The server answered 500." in browser_of(make_app(down), place, "ada").get("/settings").text
