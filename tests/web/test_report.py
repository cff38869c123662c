"""The report of a week: what it counts, whom it is for, and where its links lead."""

import re
from datetime import UTC, datetime
from html import unescape

from fastapi.testclient import TestClient

from callreel.domain.call import Role
from callreel.review.week import Week
from callreel.store.calls import calls, phrase_alerts
from callreel.store.transcripts import phrase_rules
from tests.support.rows import a_rule
from tests.support.seed import ABSENT, DONE, NOON, NUMBER, SUSPECT, Seed, at
from tests.web.call_list import add_measures, attach, ids, new_label
from tests.web.conftest import As

WEEK = "/report?week=2026-W47"


def shown(browser: TestClient, path: str = WEEK) -> str:
    """The text of the page, without tags."""
    answer = browser.get(path)
    assert answer.status_code == 200, answer.text
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text.split('tabindex="-1">')[1])).split())


def fill(place: Seed, sam: TestClient) -> tuple[int, int]:
    """Measures, a label on two calls, and alerts of two rules, one of which is removed; returns the ids of label and rule."""
    add_measures(place)
    label = new_label(sam)
    for call_id in (DONE, SUSPECT):
        attach(sam, call_id, label)
    refund, gone = a_rule(place.database).rule, a_rule(place.database, name="Gone").rule
    with place.database.write() as conn:
        for segment in ("agent-1", "agent-2"):
            phrase_alerts.put(conn, ABSENT, refund, Role.AGENT, segment, NOON, (1, 2))
        phrase_alerts.put(conn, SUSPECT, gone, None, phrase_alerts.MISSING, NOON)
        phrase_rules.remove(conn, gone.id)
    return label, refund.id


def test_report_counts_the_week(signed_in: As, place: Seed) -> None:
    sam = signed_in("sam")
    label, rule = fill(place, sam)
    text = shown(sam)
    assert "Week 2026-W47 2026-11-16 to 2026-11-22 (UTC)" in text
    assert "Calls 4 0 the week before Minutes 63.3 0 the week before" in text
    assert "Silences 4 0 the week before Silence (min) 1.1 0 the week before" in text
    assert "2026-11-22 , 12:00: 4 calls" in text
    assert "Verdict Suspect : 1, of which 1 not reviewed Verdict Explained : 1" in text
    assert "At least 60 s of silence : 1" in text
    assert "Refund 2 1" in text and "Gone (removed) 1 1" in text
    assert "complaint 2 0" in text
    review = text.split("Calls to review ")[1].split("Filtered lists")[0]
    assert review.startswith("2 calls with a reason that no one has reviewed")
    assert (
        "Verdict Suspect · Alert: Gone · 1:00 of silence" in review
    )  # the call with the most reasons comes first
    assert review.index("Verdict Suspect") < review.index("Alert: Refund")
    later = shown(sam, "/report?week=2026-W48")
    assert "Calls 0 4 the week before" in later and "complaint 0 2" in later
    assert "No call of this week has a reason to be reviewed." in later
    page = sam.get(WEEK).text
    for query in re.findall(r'href="/\?([^"]+)"', page):
        assert sam.get(f"/api/v1/calls?{unescape(query)}").status_code == 200, query
    assert f"alert={rule}" in page and f"label={label}" in page
    assert ids(sam, **{"from": "2026-11-16", "to": "2026-11-22", "alert": str(rule)}) == [ABSENT]


def test_reviewed_calls_are_not_listed(signed_in: As, place: Seed) -> None:
    sam = signed_in("sam")
    fill(place, sam)
    with place.database.write() as conn:
        calls.set_reviewed(conn, SUSPECT, "sam", at(6000))
    text = shown(sam)
    assert "1 call with a reason" in text and "of which 0 not reviewed" in text
    assert f'href="/calls/{SUSPECT}"' not in sam.get(WEEK).text


def test_week_begins_in_the_readers_zone(signed_in: As) -> None:
    sam = signed_in("sam")
    assert "Calls 4 0 the week before" in shown(sam, "/report?week=2026-W48&zone=Pacific/Kiritimati")
    assert "2026-11-23 , 02:00: 4 calls" in shown(sam, "/report?week=2026-W48&zone=Pacific/Kiritimati")


def test_report_is_for_people_who_see_all_calls(signed_in: As) -> None:
    maria = signed_in("maria")
    answer = maria.get(WEEK)
    assert answer.status_code == 403 and NUMBER not in answer.text
    assert 'href="/report"' not in maria.get("/").text
    assert 'href="/report"' in signed_in("sam").get("/").text


def test_default_is_the_last_complete_week_and_odd_weeks_are_refused(signed_in: As) -> None:
    sam = signed_in("sam")
    running = Week.of(datetime.now(UTC).date())
    assert shown(sam, "/report").startswith(f"Week {running.before} ")
    assert f"/report?week={running}" in sam.get("/report").text
    assert "Week after" not in shown(sam, f"/report?week={running}")
    for week in ("2026-W54", "2026-48", "0000-W01", "9999-W52", ""):
        assert sam.get("/report", params={"week": week}).status_code == 422, week
    assert sam.get("/report?zone=Mars").status_code == 422


def test_report_as_json(signed_in: As, place: Seed) -> None:
    sam = signed_in("sam")
    label, rule = fill(place, sam)
    answer = sam.get("/api/v1/report?week=2026-W47")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["week"], found["from"], found["to"]) == ("2026-W47", "2026-11-16", "2026-11-22")
    assert found["volume"] == {"calls": 4, "calls_before": 0, "minutes": 63.3, "minutes_before": 0.0}
    assert found["alerts"][0] == {"rule_id": rule, "rule": "Refund", "exists": True, "alerts": 2, "calls": 1}
    assert [(one["id"], one["calls"]) for one in found["labels"]] == [(label, 2)]
    assert [call["call_id"] for call in found["to_review"]["calls"]] == [SUSPECT, ABSENT]
    refused = signed_in("maria").get("/api/v1/report?week=2026-W47")
    assert refused.status_code == 403 and NUMBER not in refused.text
    running = Week.of(datetime.now(UTC).date())
    assert sam.get("/api/v1/report").json()["week"] == str(running.before)
    assert sam.get("/api/v1/report?week=48").status_code == 422
