"""Retention rules: reading them, which rule decides, and what is refused."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from callreel.domain.retention import DataKind, Subject, expiries, parse_rules, shortest_days

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CALL = Subject("+493012345", "maria", "verified", "outgoing", NOON)
RULES = "number=+4930* audio=30 text=90; verdict=suspect|none call=never; agent=maria audio=never call=365; audio=60 call=730"


@pytest.mark.parametrize(
    ("changes", "days"),
    [
        ({}, {"audio": 30, "text": 90, "call": 365}),
        ({"number": "+12125550123"}, {"call": 365}),
        ({"agent": "jonas"}, {"audio": 30, "text": 90, "call": 730}),
        ({"number": "+1212", "agent": "jonas"}, {"audio": 60, "call": 730}),
        ({"number": "+1212", "agent": "jonas", "verdict": "suspect"}, {"audio": 60}),
        ({"number": "+1212", "agent": "jonas", "verdict": "none"}, {"audio": 60}),
    ],
)
def test_first_rule_that_matches_decides_for_each_kind(changes: dict[str, str], days: dict[str, int]) -> None:
    given: dict[str, Any] = dict(changes)
    subject = replace(CALL, **given)
    found = expiries(parse_rules(RULES), subject)
    assert {kind.value: expiry.at for kind, expiry in found.items()} == {
        kind: NOON + timedelta(days=number) for kind, number in days.items()
    }


def test_direction_is_a_condition_and_no_rules_keep_everything() -> None:
    rules = parse_rules("direction=incoming numbers=1;")
    assert expiries(rules, CALL) == {} and shortest_days(rules) == 1
    incoming = Subject(CALL.number, CALL.agent, CALL.verdict, "incoming", NOON)
    assert set(expiries(rules, incoming)) == {DataKind.NUMBERS}
    assert parse_rules(" ; ") == () and shortest_days(()) is None


@pytest.mark.parametrize(
    ("labels", "days"),
    [
        (set(), 30),
        ({"praise"}, 30),
        ({"praise", "complaint"}, 900),
        ({"data request"}, 900),
        ({"Complaint"}, 30),
    ],
)
def test_label_matches_any_of_the_labels_of_a_call(labels: set[str], days: int) -> None:
    rules = parse_rules("label=complaint|data?request call=900; call=30")
    subject = replace(CALL, labels=frozenset(labels))
    assert expiries(rules, subject)[DataKind.CALL].at == NOON + timedelta(days=days)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("audio", "name=value"),
        ("sound=30", "got 'sound'"),
        ("audio=0", "1 to 36500 days"),
        ("audio=1.5", "never or"),
        ("agent=maria", "expected days"),
        ("verdict=good audio=3", "got 'good'"),
        ("direction=out audio=3", "incoming, outgoing"),
    ],
)
def test_wrong_rules_are_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_rules(text)


@pytest.mark.parametrize(
    ("name", "named"), [("complaint", True), ("data request", True), ("Complaint", False), ("praise", False)]
)
def test_labels_that_rules_name(name: str, named: bool) -> None:
    rules = parse_rules("audio=90; label=complaint|data?request call=never")
    assert any(rule.names_label(name) for rule in rules) is named
