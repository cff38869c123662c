"""Connection overrides: written, read, and what they decide."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callreel.domain.errors import SettingsError
from callreel.twilio.connection_overrides import (
    POLICIES,
    ConnectFailure,
    DeliveryOutcome,
    HttpStatus,
    Overrides,
    ReadTimeout,
    should_retry,
    split_overrides,
    with_overrides,
)

URL = "https://calls.example.com/twilio/voice"
ALL = Overrides(retries=5, policy=POLICIES)


def test_written_as_the_carrier_reads_it() -> None:
    assert with_overrides(URL, 5, "all") == f"{URL}#rc=5&rp=all"
    assert split_overrides(f"{URL}#rc=5&rp=all") == (URL, ALL)
    assert split_overrides(with_overrides(URL, 2, "ct,5xx"))[1] == Overrides(
        retries=2, policy=frozenset({"ct", "5xx"})
    )


def test_without_overrides_the_carriers_defaults_hold() -> None:
    assert split_overrides(URL) == (URL, Overrides(5000, 15000, 15000, 1, frozenset({"ct"})))


def test_timeout_overrides_are_parsed() -> None:
    assert split_overrides(f"{URL}#ct=250&rt=1000&tt=9000")[1] == Overrides(250, 1000, 9000)


@pytest.mark.parametrize(
    "fragment", ["ct=99", "ct=10001", "rt=15001", "rc=6", "rc=-1", "rc=x", "rp=6xx", "e=x", "=", "rc"]
)
def test_out_of_range_or_unknown_overrides_are_ignored(fragment: str) -> None:
    assert split_overrides(f"{URL}#{fragment}") == (URL, Overrides())


@pytest.mark.parametrize(
    ("retries", "policy", "reason"),
    [
        (6, "all", "0 to 5"),
        (-1, "all", "0 to 5"),
        (1, "always", "got always"),
        (1, "", "got nothing"),
        (1, "ct,3xx", "got 3xx"),
    ],
)
def test_wrong_settings_are_refused_with_the_reason(retries: int, policy: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        with_overrides(URL, retries, policy)


def test_a_url_with_a_fragment_is_refused() -> None:
    with pytest.raises(SettingsError, match="fragment"):
        with_overrides(f"{URL}#x", 1, "all")


@pytest.mark.parametrize(
    ("overrides", "attempt", "outcome", "again"),
    [
        (Overrides(), 1, ConnectFailure(), True),
        (Overrides(), 2, ConnectFailure(), False),
        (Overrides(), 1, ReadTimeout(), False),
        (Overrides(), 1, HttpStatus(500), False),
        (ALL, 1, ConnectFailure(), True),
        (ALL, 5, ReadTimeout(), True),
        (ALL, 6, ReadTimeout(), False),
        (ALL, 1, HttpStatus(403), True),
        (ALL, 1, HttpStatus(503), True),
        (ALL, 1, HttpStatus(204), False),
        (ALL, 1, HttpStatus(302), False),
        (Overrides(retries=3, policy=frozenset({"5xx"})), 1, HttpStatus(404), False),
        (Overrides(retries=3, policy=frozenset({"5xx"})), 3, HttpStatus(599), True),
        (Overrides(retries=0, policy=POLICIES), 1, HttpStatus(500), False),
    ],
)
def test_retry_table(overrides: Overrides, attempt: int, outcome: DeliveryOutcome, again: bool) -> None:
    assert should_retry(overrides, attempt, outcome) is again


@given(st.integers(0, 5), st.sets(st.sampled_from(sorted(POLICIES)), min_size=1))
def test_round_trip(retries: int, policy: set[str]) -> None:
    url, overrides = split_overrides(with_overrides(URL, retries, ",".join(sorted(policy))))
    assert (url, overrides) == (URL, Overrides(retries=retries, policy=frozenset(policy)))


@given(st.text())
def test_any_fragment_is_read(fragment: str) -> None:
    assert split_overrides(f"{URL}#{fragment}")[0] == URL
