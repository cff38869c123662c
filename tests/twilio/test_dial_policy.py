"""The dial policy. Numbers are fictional or of ranges in the metadata; none is called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.errors import SettingsError
from callreel.twilio.dial_policy import Allowed, DialPolicy, Refused, mask

US = DialPolicy.for_caller_id("+12025550143")
EUROPE = DialPolicy(frozenset({"GB", "DE"}), default_region="GB")


@pytest.mark.parametrize(
    ("raw", "e164"),
    [
        ("+15551234567", "+15551234567"),
        ("+1 (202) 555-0143", "+12025550143"),
        ("202-555-0143", "+12025550143"),
        ("1-800-FLOWERS", "+18003569377"),
        ("tel:+12025550143", "+12025550143"),
        ("\uff0b\uff11\uff12\uff10\uff12\uff15\uff15\uff15\uff10\uff11\uff14\uff13", "+12025550143"),
    ],
)
def test_a_us_caller_id_opens_the_us(raw: str, e164: str) -> None:
    assert US.decide(raw) == Allowed(e164)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("+19005551234", "premium rate"),
        ("+18764671234", "calls to JM are not allowed"),
        ("+18095551234", "calls to DO are not allowed"),
        ("+14165550143", "calls to CA are not allowed"),
        ("+442079460000", "calls to GB are not allowed"),
        ("+881612345678", "belongs to no country"),
        ("+870773111632", "belongs to no country"),
        ("+19110000000", "belongs to no country"),
        ("911", "emergency and short"),
        ("112", "emergency and short"),
        ("+1 911", "emergency and short"),
        ("9-1-1", "emergency and short"),
        ("12345", "emergency and short"),
        ("+1202555", "too few or too many digits"),
        ("+1202555014312345", "too few or too many digits"),
        ("+12025550143x5", "extension"),
        ("client:ada", "not a phone number"),
        ("sip:ada@example.com", "not a phone number"),
        ("+1'; drop table calls; --", "emergency|not a phone number"),
        ("ada", "not a phone number"),
        ("", "not a phone number"),
    ],
)
def test_a_us_caller_id_opens_nothing_else(raw: str, reason: str) -> None:
    decision = US.decide(raw)
    assert isinstance(decision, Refused)
    assert any(words in decision.reason for words in reason.split("|"))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("+447012345678", "personal number"),
        ("+4918051234567", "shared-cost"),
        ("+4932221234567", None),
        ("+448001111111", None),
        ("020 7946 0000", None),
        ("+449098790000", "premium rate"),
        ("+445512345678", "universal number"),
        ("999", "emergency"),
        ("+15551234567", "calls to US"),
    ],
)
def test_kinds_of_numbers(raw: str, reason: str | None) -> None:
    decision = EUROPE.decide(raw)
    if reason is None:
        assert isinstance(decision, Allowed)
    else:
        assert isinstance(decision, Refused) and reason in decision.reason


def test_prefix_allows_numbers_outside_the_countries() -> None:
    policy = DialPolicy(frozenset({"US"}), ("+881", "+1900555"))
    assert policy.decide("+881612345678") == Allowed("+881612345678")
    assert policy.decide("+19005551234") == Allowed("+19005551234")
    assert isinstance(policy.decide("+19004441234"), Refused)


def test_a_prefix_never_opens_emergency_numbers() -> None:
    policy = DialPolicy(frozenset({"US"}), ("+1", "+9"), "US")
    assert isinstance(policy.decide("911"), Refused)
    assert isinstance(policy.decide("+911"), Refused)


def test_without_a_region_a_number_needs_its_country() -> None:
    policy = DialPolicy(frozenset({"US"}))
    assert isinstance(policy.decide("2025550143"), Refused)
    assert policy.decide("+12025550143") == Allowed("+12025550143")


def test_policy_of_a_caller_id() -> None:
    assert DialPolicy.for_caller_id("+15551234567") == DialPolicy(frozenset({"US"}), (), "US")
    assert DialPolicy.for_caller_id("+442079460000") == DialPolicy(frozenset({"GB"}), (), "GB")
    assert DialPolicy.for_caller_id("+442079460000", frozenset({"DE"}), ("+33",)) == DialPolicy(
        frozenset({"DE"}), ("+33",), "GB"
    )


@pytest.mark.parametrize("caller_id", ["", "ada", "2025550143", "+1202", "+881612345678"])
def test_a_caller_id_that_is_no_number_of_a_country_is_refused(caller_id: str) -> None:
    with pytest.raises(SettingsError, match="caller ID"):
        DialPolicy.for_caller_id(caller_id)


@pytest.mark.parametrize(
    ("countries", "prefixes"), [({"USA"}, ()), ({"us"}, ()), ({"US"}, ("0049",)), ({"US"}, ("+",))]
)
def test_settings_that_are_no_country_or_prefix_are_refused(
    countries: set[str], prefixes: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError, match="allowed"):
        DialPolicy(frozenset(countries), prefixes)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+15551234567", "+1…67"),
        ("+442079460000", "+44…00"),
        ("2025550143", "…43"),
        ("911", "···"),
        ("client:ada", "client:ada"),
        ("client:agent7", "client:agent7"),
        ("", ""),
    ],
)
def test_mask(number: str, shown: str) -> None:
    assert mask(number) == shown


@given(st.text() | st.from_regex(r"\+?[0-9 ()-]{3,20}", fullmatch=True))
def test_any_number_is_decided_without_revealing_it(raw: str) -> None:
    for policy in (US, EUROPE):
        decision = policy.decide(raw)
        if isinstance(decision, Refused):
            assert not any(character.isdigit() for character in decision.reason)
        else:
            assert decision.e164.startswith("+") and decision.e164[1:].isdigit()
            assert policy.decide(decision.e164) == decision


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
def test_a_mask_shows_at_most_five_digits(number: str) -> None:
    assert sum(character.isdigit() for character in mask(number)) <= 5
