"""Phrase rules by the API and what people see of their alerts."""

from typing import Any

import pytest
from sqlalchemy import Connection, func, select, update

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.call import Role
from callreel.domain.phrases import MOST_RULES
from callreel.domain.redaction import Entity, Stretch
from callreel.runtime.clock import Clock
from callreel.store.calls import expired, phrase_alerts
from callreel.store.db.tables import calls as call_table
from callreel.store.db.tables import live_events
from callreel.store.db.tables import phrase_alerts as table
from callreel.store.transcripts import redactions
from tests.support.rows import a_rule
from tests.support.seed import DONE, NOON, Seed
from tests.web.conftest import As

RULES = "/api/v1/phrase-rules"
REFUND = {"name": " Refund ", "phrases": ["refund*", "money back"]}


def put_alert(place: Seed, start_ms: int = 4_200, end_ms: int = 7_000) -> None:
    """An alert on what the technician said in the finished call."""
    rule = a_rule(place.database, name="Roof").rule
    with place.database.write() as conn:
        row = phrase_alerts.put(conn, DONE, rule, Role.TECHNICIAN, "technician-1", NOON, (start_ms, end_ms))
        assert row is not None
        assert phrase_alerts.put(conn, DONE, rule, Role.TECHNICIAN, "technician-1", NOON, (1, 2)) is None


def alerts_of(signed_in: As, query: str = "") -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = signed_in("sam").get(f"/api/v1/calls/{DONE}{query}").json()["alerts"]
    return listed


def test_rule_is_added_changed_and_removed(signed_in: As) -> None:
    sam = signed_in("sam")
    answer = sam.post(RULES, json=REFUND)
    assert answer.status_code == 201
    rule = answer.json()
    assert {**rule, "at": ""} == {
        "id": 1, "name": "Refund", "kind": "words", "phrases": ["refund*", "money back"], "role": None,
        "number_prefix": "", "trigger": "said", "within_s": None, "enabled": True, "by": "sam", "at": "",
    }  # fmt: skip
    changes = {"role": "technician", "phrases": ["refunds?"], "kind": "regex", "number_prefix": "+1212"}
    changed = sam.patch(f"{RULES}/1", json=changes).json()
    assert changed == {**rule, **changes}
    assert sam.patch(f"{RULES}/1", json={"role": None}).json()["role"] is None
    assert sam.get(RULES).json() == {"rules": [{**changed, "role": None}]}
    assert sam.delete(f"{RULES}/1").status_code == 204
    assert sam.get(RULES).json() == {"rules": []}
    assert sam.patch(f"{RULES}/1", json={"enabled": False}).status_code == 404


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"phrases": []}, "phrases"),
        ({"phrases": ["x" * 201]}, "phrases"),
        ({"phrases": ["--"]}, "Phrase 1 has no letter or digit."),
        ({"phrases": ["(a"], "kind": "regex"}, "Phrase 1 is not a regular expression of RE2 (missing ))."),
        ({"phrases": ["(.{1,100}a){3}b"], "kind": "regex"}, "too complex"),
        ({"number_prefix": "0049"}, "number_prefix"),
        ({"within_s": 30}, "Invalid values"),
        ({"trigger": "missing", "within_s": 0}, "within_s"),
        ({"name": "  "}, "name"),
    ],
)
def test_rule_that_cannot_be_used_is_refused(signed_in: As, changes: dict[str, Any], problem: str) -> None:
    answer = signed_in("sam").post(RULES, json={**REFUND, **changes})
    assert answer.status_code == 422
    assert problem in answer.json()["error"]["message"]


def test_name_is_unique_in_any_case_and_not_any(signed_in: As) -> None:
    sam = signed_in("sam")
    sam.post(RULES, json=REFUND)
    other = sam.post(RULES, json={**REFUND, "name": "Money"}).json()
    for name in ("refund", "REFUND ", "any", " Any"):
        assert sam.post(RULES, json={**REFUND, "name": name}).status_code == 409, name
        assert sam.patch(f"{RULES}/{other['id']}", json={"name": name}).status_code == 409, name
    assert [rule["name"] for rule in sam.get(RULES).json()["rules"]] == ["Refund", "Money"]
    assert sam.patch(f"{RULES}/{other['id']}", json={"name": "MONEY"}).json()["name"] == "MONEY"


def test_limit_belongs_to_missing_phrases_also_after_a_change(signed_in: As) -> None:
    sam = signed_in("sam")
    missing = {**REFUND, "trigger": "missing", "within_s": 30}
    assert sam.post(RULES, json=missing).json()["within_s"] == 30
    assert sam.patch(f"{RULES}/1", json={"within_s": 12.5}).json()["within_s"] == 12.5
    said = sam.patch(f"{RULES}/1", json={"trigger": "said"}).json()
    assert (said["trigger"], said["within_s"]) == ("said", None)
    refused = sam.patch(f"{RULES}/1", json={"within_s": 5})
    assert (refused.status_code, refused.json()["error"]["message"]) == (
        422,
        "Within_s is for a missing phrase.",
    )
    assert sam.patch(f"{RULES}/1", json={"trigger": "missing", "within_s": None}).json()["within_s"] is None


def test_rules_are_limited_in_number_and_together(signed_in: As, place: Seed) -> None:
    sam = signed_in("sam")
    for number in range(13):
        a_rule(place.database, name=str(number), phrases=tuple(letter * 150 for letter in "abcdefghij"))
    large = {**REFUND, "phrases": [letter * 190 for letter in "lmnopqrt"]}
    assert "together are too complex" in sam.post(RULES, json=large).text
    assert sam.post(RULES, json={**large, "enabled": False}).status_code == 201
    assert sam.patch(f"{RULES}/14", json={"enabled": True}).status_code == 422
    for number in range(MOST_RULES - 14):
        a_rule(place.database, name=str(number), phrases=("a",), enabled=False)
    assert sam.post(RULES, json={**REFUND, "enabled": False}).status_code == 409


def test_alert_shows_the_words_of_the_transcript(signed_in: As, place: Seed) -> None:
    put_alert(place)
    [alert] = alerts_of(signed_in)
    assert (alert["rule"], alert["role"], alert["start_ms"]) == ("Roof", "technician", 4_200)
    assert alert["text"] == "hello i am in front of the unit on the roof"
    page = signed_in("sam").get(f"/calls/{DONE}").text
    assert 'href="#t=4.2"' in page and "in front of the unit" in page


def test_redaction_masks_the_words_of_an_alert(signed_in: As, place: Seed) -> None:
    put_alert(place)
    with place.database.write() as conn:
        redactions.add(conn, DONE, Stretch(Role.TECHNICIAN, Entity.ADDRESS, 4_000, 7_100), "", NOON)
    assert alerts_of(signed_in)[0]["text"] == "[address]"
    assert "roof" in alerts_of(signed_in, "?original=true")[0]["text"]


def test_alert_of_a_withheld_call_has_no_words(signed_in: As, place: Seed) -> None:
    put_alert(place)
    with place.database.write() as conn:
        conn.execute(update(call_table).where(call_table.c.id == DONE).values(redaction_awaited=True))
    assert alerts_of(signed_in)[0]["text"] is None


def test_swapped_roles_are_swapped_in_alerts(signed_in: As, place: Seed) -> None:
    put_alert(place)
    assert (
        signed_in("sam").post(f"/api/v1/calls/{DONE}/swap-roles", json={"swapped": True}).status_code == 200
    )
    [alert] = alerts_of(signed_in)
    assert (alert["role"], alert["text"][:5]) == ("agent", "hello")


def test_alerts_expire_with_the_text_of_their_call(place: Seed) -> None:
    put_alert(place)

    def left(conn: Connection) -> int:
        events = select(func.count()).where(live_events.c.kind == "phrase_alert")
        rows = select(func.count()).select_from(table)
        return int(conn.execute(events).scalar_one() + conn.execute(rows).scalar_one())

    with place.database.write() as conn:
        [row] = phrase_alerts.of_call(conn, DONE)
        publish = EventPublisher(place.database, place.bus, Clock())
        publish.record(conn, row.event)
        assert left(conn) == 2
        assert expired.delete_text(conn, DONE)["phrase_alerts"] == 1
        assert left(conn) == 0
