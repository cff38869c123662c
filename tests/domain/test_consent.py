"""The recording policy as rules: which one decides, in which language, and what an answer means."""

from dataclasses import replace

import pytest

from callreel.domain.call import Direction
from callreel.domain.consent import (
    Answer,
    Jurisdiction,
    Mode,
    Notice,
    Policy,
    Requirement,
    Rule,
    Stamp,
    Subject,
    Wording,
    answer_to,
    decide,
    read_jurisdictions,
)
from callreel.domain.errors import SettingsError
from callreel.domain.ids import CallId
from callreel.settings.carrier import INCLUDED_JURISDICTIONS
from tests.support.installation import NOON

ENGLISH = Wording("en-US", "This call is recorded.", yes=("yes", "I agree"), no=("no", "don't"))
GERMAN = Wording("de-DE", "Dieses Gespräch wird aufgezeichnet.", yes=("ja",), no=("nein", "nicht"))
NOTICE = Notice("standard", (ENGLISH, GERMAN))
CALL = Subject(Direction.OUTGOING, "+4930123456", "DE", "ada")
NOT_STORED = CallId("0" * 12)
TABLE = (
    Jurisdiction("US", "United States", Requirement.ONE_PARTY, (), "", "law", "2026-11-29"),
    Jurisdiction("US-CA", "California", Requirement.ALL_PARTIES, ("+1415", "+1213"), "", "law", "2026-11-29"),
    Jurisdiction("DE", "Germany", Requirement.ALL_PARTIES, (), "", "law", "2026-11-29"),
)


def policy(*rules: Rule, **options: bool) -> Policy:
    return Policy(rules, (NOTICE,), **options)


def rule(**criteria: object) -> Rule:
    return Rule("this", Mode.ANNOUNCE, "standard", **criteria)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("criteria", "matches"),
    [
        ({}, True),
        ({"direction": Direction.OUTGOING}, True),
        ({"direction": Direction.INCOMING}, False),
        ({"prefixes": ("+4930",)}, True),
        ({"prefixes": ("+4940", "+4930123456")}, True),
        ({"prefixes": ("+4940",)}, False),
        ({"countries": ("FR", "DE")}, True),
        ({"countries": ("FR",)}, False),
        ({"agents": ("ada",)}, True),
        ({"agents": ("bob",)}, False),
        ({"requirement": Requirement.ALL_PARTIES}, True),
        ({"requirement": Requirement.NOTICE}, False),
        ({"countries": ("DE",), "agents": ("bob",)}, False),
    ],
)
def test_rule_matches_when_every_criterion_does(criteria: dict[str, object], matches: bool) -> None:
    decision = decide(policy(rule(**criteria)), TABLE, CALL)
    assert decision.mode is (Mode.ANNOUNCE if matches else Mode.NONE)


def test_first_matching_rule_decides() -> None:
    never = replace(rule(prefixes=("+4930",)), name="never", mode=Mode.OFF)
    assert decide(policy(never, rule()), TABLE, CALL).mode is Mode.OFF
    assert decide(policy(rule(), never), TABLE, CALL).mode is Mode.ANNOUNCE
    assert decide(Policy(), TABLE, CALL).rule is None


def test_withheld_number_matches_only_rules_without_a_number() -> None:
    withheld = replace(CALL, number="", country="")
    assert decide(policy(rule(countries=("DE",))), TABLE, withheld).mode is Mode.NONE
    assert decide(policy(rule(prefixes=("+49",))), TABLE, withheld).mode is Mode.NONE
    assert decide(policy(rule()), TABLE, withheld).mode is Mode.ANNOUNCE


@pytest.mark.parametrize(
    ("number", "country", "code"),
    [
        ("+14155550123", "US", "US-CA"),
        ("+12025550123", "US", "US"),
        ("+4930123456", "DE", "DE"),
        ("+33100000000", "FR", None),
    ],
)
def test_jurisdiction_is_found_by_prefix_then_by_country(number: str, country: str, code: str | None) -> None:
    found = decide(Policy(), TABLE, replace(CALL, number=number, country=country)).jurisdiction
    assert (found.code if found else None) == code


@pytest.mark.parametrize(
    ("of_rule", "of_call", "language"),
    [
        ("", "", "en-US"),
        ("", "de", "de-DE"),
        ("de-AT", "en", "de-DE"),
        ("", "fr", "en-US"),
    ],
)
def test_language_is_the_rules_then_the_calls_then_the_first(
    of_rule: str, of_call: str, language: str
) -> None:
    wording = decide(policy(rule(language=of_rule)), TABLE, CALL, language=of_call).wording
    assert wording is not None and wording.language == language


def test_agent_may_skip_recording_unless_the_policy_forbids_it() -> None:
    assert decide(policy(rule()), TABLE, CALL, skip=True).skipped
    strict = policy(rule(), agents_may_skip=False)
    assert decide(strict, TABLE, CALL, skip=True).mode is Mode.ANNOUNCE


@pytest.mark.parametrize(
    ("key", "words", "answer"),
    [
        ("1", "", (Answer.GRANTED, "key")),
        ("2", "", (Answer.DECLINED, "key")),
        ("1", "no", (Answer.GRANTED, "key")),
        ("", "Yes.", (Answer.GRANTED, "word")),
        ("", "Okay, I agree!", (Answer.GRANTED, "word")),
        ("", "No, I don’t agree", (Answer.DECLINED, "word")),
        ("", "Yes, no, yes", (Answer.NONE, "")),
        ("", "I don't", (Answer.DECLINED, "word")),
        ("", "yesterday", (Answer.NONE, "")),
        ("", "", (Answer.NONE, "")),
    ],
)
def test_answer_counts_only_if_it_is_clear(key: str, words: str, answer: tuple[Answer, str]) -> None:
    assert answer_to(ENGLISH, key, words) == answer


def test_changed_wording_gets_a_new_version() -> None:
    first = policy(rule()).numbered_after(Policy())
    assert first.notice("standard").version == 1
    same = policy(rule(language="de-DE")).numbered_after(first)
    assert same.notice("standard").version == 1
    changed = Policy((), (Notice("standard", (GERMAN,)),)).numbered_after(same)
    assert changed.notice("standard").version == 2


@pytest.mark.parametrize(
    ("rules", "notices", "problem"),
    [
        ((Rule("a", Mode.ASK, "missing"),), (NOTICE,), "needs one of the notices"),
        ((Rule("a", Mode.NONE), Rule("a", Mode.OFF)), (), "rules with different names"),
        ((), (NOTICE, NOTICE), "notices with different names"),
        ((), (Notice("empty", ()),), "no text"),
    ],
)
def test_inconsistent_policy_is_refused(
    rules: tuple[Rule, ...], notices: tuple[Notice, ...], problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        Policy(rules, notices)


STAMP = Stamp(call_id=CallId("0" * 12), mode=Mode.ASK, policy_version=1, rule="Berlin", capture_at=NOON)


@pytest.mark.parametrize(
    ("changes", "permits", "code"),
    [
        ({"mode": Mode.NONE}, True, None),
        ({"mode": Mode.OFF}, False, "do_not_record"),
        ({"mode": Mode.OFF, "skipped": True}, False, "do_not_record"),
        ({"mode": Mode.ANNOUNCE}, True, None),
        ({"mode": Mode.ANNOUNCE, "capture_at": None}, True, "recording_not_started"),
        ({}, False, "consent_missing"),
        ({"answer": Answer.NONE}, False, "consent_missing"),
        ({"answer": Answer.DECLINED}, False, "consent_declined"),
        ({"answer": Answer.GRANTED}, True, None),
        ({"answer": Answer.GRANTED, "capture_at": None}, True, "recording_not_started"),
    ],
)
def test_stamp_permits_recording_and_explains_its_absence(
    changes: dict[str, object], permits: bool, code: str | None
) -> None:
    stamp = replace(STAMP, **changes)  # type: ignore[arg-type]
    reason = stamp.unrecorded
    assert (stamp.permits_recording, reason.code if reason else None) == (permits, code)
    assert stamp.summary["text"] == stamp.text and stamp.text.endswith(".")


def test_recorded_call_without_its_notice_says_so() -> None:
    announced = replace(STAMP, mode=Mode.ANNOUNCE)
    reason = announced.unannounced(answered=True)
    assert reason is not None and reason.code == "notice_missing"
    assert announced.unannounced(answered=False) is None
    assert replace(announced, played_at=NOON).unannounced(answered=True) is None


def test_included_jurisdictions_have_source_and_date() -> None:
    table = read_jurisdictions(INCLUDED_JURISDICTIONS.read_text(encoding="utf-8"))
    assert {"US", "US-CA", "DE", "FR", "GB", "CA"} <= {row.code for row in table}
    assert all(row.source and row.checked >= "2026" and row.name for row in table)
    prefixes = [prefix for row in table for prefix in row.prefixes]
    assert len(prefixes) == len(set(prefixes)), "each prefix has one place"
    assert "NO LEGAL ADVICE" in INCLUDED_JURISDICTIONS.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["code,name\nDE,Germany", "code,name,requirement\nDE,Germany,most"])
def test_invalid_table_is_named_with_its_row(text: str) -> None:
    with pytest.raises(SettingsError, match="row 2"):
        read_jurisdictions(text)


@pytest.mark.parametrize(
    ("stamp", "excluded"),
    [
        (Stamp(call_id=NOT_STORED, mode=Mode.NONE, policy_version=1), False),
        (Stamp(call_id=NOT_STORED, mode=Mode.ANNOUNCE, policy_version=1), False),
        (Stamp(call_id=NOT_STORED, mode=Mode.OFF, policy_version=1), True),
        (Stamp(call_id=NOT_STORED, mode=Mode.ASK, policy_version=1), False),
        (Stamp(call_id=NOT_STORED, mode=Mode.ASK, policy_version=1, answer=Answer.GRANTED), False),
        (Stamp(call_id=NOT_STORED, mode=Mode.ASK, policy_version=1, answer=Answer.DECLINED), True),
        (Stamp(call_id=NOT_STORED, mode=Mode.ASK, policy_version=1, answer=Answer.NONE), True),
    ],
)
def test_call_is_excluded_once_nothing_of_it_will_be_recorded(stamp: Stamp, excluded: bool) -> None:
    assert stamp.excludes_recording is excluded
