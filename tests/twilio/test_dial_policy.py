"""The dial policy. Numbers are fictional or of ranges in the metadata; none is called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.errors import SettingsError
from callreel.twilio.dial_policy import Allowed, DialPolicy, Refused, mask

US = DialPolicy.for_caller_id("+12025550143")
EUROPE = DialPolicy(frozenset({"GB", "DE"}), default_region="GB")


NOT_ONE, CODE, EXTENSION, NO_NUMBER = (
    "not one phone number",
    "a star or a hash",
    "extension",
    "not a phone number",
)
SHORT, LENGTH, NO_COUNTRY = "emergency and short", "too few or too many digits", "belongs to no country"

TYPED: dict[str, Allowed | str] = {
    "+15551234567": Allowed("+15551234567"),
    "+1 (202) 555-0143": Allowed("+12025550143"),
    "202-555-0143": Allowed("+12025550143"),
    "202.555.0143": Allowed("+12025550143"),
    "202/555/0143": Allowed("+12025550143"),
    "tel:+12025550143": Allowed("+12025550143"),
    "\u202a+1 202 555 0143\u202c": Allowed("+12025550143"),
    # Names in letters
    "1-800-FLOWERS": Allowed("+18003569377"),
    "1-800-GO-FEDEX": Allowed("+18004633339"),
    # Digits of other scripts have the same value; letters and signs that look like digits have none.
    "\uff0b\uff11\uff12\uff10\uff12\uff15\uff15\uff15\uff10\uff11\uff14\uff13": Allowed("+12025550143"),
    "\u0662\u0660\u0662\u0665\u0665\u0665\u0660\u0661\u0664\u0663": Allowed("+12025550143"),
    "2O2-555-0143": f"{NOT_ONE}|{NO_NUMBER}",
    "202-555-O143": f"{NOT_ONE}|{NO_NUMBER}",
    "202-555-014O": f"{NOT_ONE}|{NO_NUMBER}",
    "202-555-l143": f"{NOT_ONE}|{NO_NUMBER}",
    "202-555-\u041e143": f"{NOT_ONE}|{NO_NUMBER}|{LENGTH}",
    "+\u24602025550143": f"{NOT_ONE}|{NO_NUMBER}|{NO_COUNTRY}",
    "202\u200b555\u202e0143": f"{NOT_ONE}|{NO_NUMBER}|{LENGTH}|{SHORT}",
    # Costly, elsewhere, nowhere
    "+19005551234": "premium rate",
    "1-900-555-1234": "premium rate",
    "+19765551234": f"premium rate|{NO_COUNTRY}",
    "+18764671234": "calls to JM are not allowed",
    "+18095551234": "calls to DO are not allowed",
    "+14165550143": "calls to CA are not allowed",
    "+442079460000": "calls to GB are not allowed",
    "011442079460000": "calls to GB are not allowed",
    "+2692012345": "calls to KM are not allowed",
    "+881612345678": NO_COUNTRY,
    "+870773111632": NO_COUNTRY,
    "+882161234567": NO_COUNTRY,
    "+979123456789": NO_COUNTRY,
    "+8001234567890": f"{NO_COUNTRY}|{LENGTH}",
    "+19110000000": NO_COUNTRY,
    # Emergency and short numbers, extensions of a house
    "911": SHORT,
    "112": SHORT,
    "+1 911": SHORT,
    "9-1-1": SHORT,
    "12345": SHORT,
    "22": SHORT,
    "+1202555": LENGTH,
    "+1202555014312345": LENGTH,
    # Codes of the network, tones after the number
    "*67 202 555 0143": CODE,
    "*72+19005551234": CODE,
    "##002#": CODE,
    "+12025550143#": CODE,
    "+12025550143\uff0a1": CODE,
    "+12025550143x5": EXTENSION,
    "+12025550143 ext. 5": EXTENSION,
    "+12025550143;ext=5": EXTENSION,
    "+12025550143,,1234": f"{NOT_ONE}|{EXTENSION}|{LENGTH}",
    "+12025550143w1234": f"{NOT_ONE}|{EXTENSION}|{LENGTH}",
    # Several numbers, other addresses, anything else
    "+12025550143,+19005551234": f"{NOT_ONE}|{LENGTH}|{NO_NUMBER}",
    "+12025550143 / +19005551234": f"{NOT_ONE}|{LENGTH}|{NO_NUMBER}",
    "+12025550143\n+19005551234": f"{NOT_ONE}|{LENGTH}|{NO_NUMBER}",
    "+12025550143&To=+19005551234": f"{NOT_ONE}|{LENGTH}|{NO_NUMBER}",
    "client:ada": NO_NUMBER,
    "client:+12025550143": NOT_ONE,
    "sip:ada@example.com": NO_NUMBER,
    "sip:+12025550143@example.com": NO_NUMBER,
    "conference:+12025550143": NOT_ONE,
    "tel:+12025550143;phone-context=+1900": f"{NOT_ONE}|{NO_NUMBER}",
    "+1'; drop table calls; --": f"{SHORT}|{NO_NUMBER}",
    "</Number><Number>+12025550143": NOT_ONE,
    "ada": NO_NUMBER,
    "": NO_NUMBER,
}  # fmt: skip
"""What a US caller ID may dial by default, or a part of the reason why not; parts between bars are equally good."""


@pytest.mark.parametrize("raw", TYPED, ids=ascii)
def test_typed_text_is_dialled_as_the_table_says(raw: str) -> None:
    wanted, decision = TYPED[raw], US.decide(raw)
    if isinstance(wanted, Allowed):
        assert decision == wanted
    else:
        assert isinstance(decision, Refused) and any(part in decision.reason for part in wanted.split("|")), (
            decision
        )


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
