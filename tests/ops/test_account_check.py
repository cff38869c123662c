"""What `callreel doctor` asks the carrier: each wrong value of an account is one line that says what to do."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from callreel.carrier_client.rest import CarrierAccess
from callreel.ops.account_check import AccountSettings, check_account
from callreel.ops.diagnosis import Mark
from callreel.simulator.account import Account
from callreel.simulator.carrier import CarrierConfig, SimulatedCarrier
from callreel.simulator.configuration import AccountConfiguration
from tests.support.program import free_port
from tests.support.rest_server import Answer, rest_server

PUBLIC = "https://calls.example.com"
NUMBER = "+12025550123"
ACCOUNT = Account()
CONFIG = CarrierConfig(
    voice_url=f"{PUBLIC}/twilio/voice", status_callback=f"{PUBLIC}/twilio/call-status", numbers=(NUMBER,)
)
APP = CONFIG.application_sid


def settings_at(url: str, timeout_s: float = 5) -> AccountSettings:
    token = CarrierAccess(url, ACCOUNT.sid, ACCOUNT.sid, ACCOUNT.auth_token, timeout_s)
    key = CarrierAccess(url, ACCOUNT.sid, ACCOUNT.api_key_sid, ACCOUNT.api_key_secret, timeout_s)
    return AccountSettings(
        by_token=token, by_key=key, public_url=PUBLIC, public_url_is_local=False, app_sid=APP, number=NUMBER
    )


async def findings(carrier: SimulatedCarrier, **changes: Any) -> dict[str, str]:
    """The lines about what is not right, by what they are about."""
    settings = replace(settings_at(carrier.api_url), **changes)
    found = await asyncio.to_thread(check_account, settings)
    assert all(finding.advice for finding in found if finding.mark is not Mark.OK)
    assert not any(NUMBER in finding.line or ACCOUNT.auth_token in finding.line for finding in found)
    return {finding.what: finding.line for finding in found if finding.mark is not Mark.OK}


async def test_right_settings_have_no_findings_but_the_unknown() -> None:
    async with SimulatedCarrier(CONFIG) as carrier:
        assert set(await findings(carrier)) == {"geographic permissions"}
        found = await asyncio.to_thread(check_account, settings_at(carrier.api_url))
    assert "✓ balance: 25.00 USD" in [finding.line for finding in found]


async def test_wrong_credentials_are_named() -> None:
    async with SimulatedCarrier(CONFIG) as carrier:
        right = settings_at(carrier.api_url)
        assert right.by_token is not None and right.by_key is not None
        other = "AC" + "9" * 32
        wrong: tuple[tuple[dict[str, Any], str], ...] = (
            ({"by_token": replace(right.by_token, password="invented")}, "account SID and auth token"),
            (
                {"by_token": replace(right.by_token, account_sid=other, username=other)},
                "account SID and auth token",
            ),
            ({"by_key": replace(right.by_key, password="invented")}, f"API key {ACCOUNT.api_key_sid}"),
            ({"by_key": replace(right.by_key, username="SK" + "9" * 32)}, f"API key SK{'9' * 32}"),
        )
        for changes, what in wrong:
            lines = await findings(carrier, **changes)
            assert lines[what].startswith(f"✗ {what}: the carrier rejects")
        invented = {
            "by_token": replace(right.by_token, password="invented"),
            "by_key": replace(right.by_key, password="invented"),
        }
        assert len(await findings(carrier, **invented)) == 2


Change = Callable[[AccountConfiguration], object]


def number_fields(configuration: AccountConfiguration) -> dict[str, Any]:
    found = configuration.numbers[f"PN{1:032x}"].fields
    return found


@pytest.mark.parametrize(
    ("change", "changes", "line"),
    [
        (None, {"app_sid": "AP" + "9" * 32}, f"✗ TwiML app AP{'9' * 32}: does not exist in this account"),
        (None, {"number": "+14155550100"}, "✗ number …00: does not exist in this account"),
        (
            lambda state: state.apps[APP].fields.update(voice_url="https://other.example.com/voice"),
            {},
            f"its voice URL is https://other.example.com/voice, expected {PUBLIC}/twilio/voice",
        ),
        (
            lambda state: number_fields(state).update(voice_application_sid=APP),
            {},
            f"✗ number …23: its calls go to TwiML app {APP}",
        ),
        (lambda state: number_fields(state).update(trunk_sid="TK1"), {}, "its calls go to a SIP trunk"),
        (
            lambda state: number_fields(state).update(status_callback=None),
            {},
            "! number …23: its status callback URL is not set",
        ),
        (lambda state: setattr(state, "balance", "1.5"), {}, "! balance: low: 1.50 USD"),
        (lambda state: setattr(state, "balance", "-0.2"), {}, "✗ balance: -0.20 USD, so calls are refused"),
        (
            None,
            {"public_url": "http://localhost:8000", "public_url_is_local": True},
            "✗ public address: the carrier cannot reach http://localhost:8000",
        ),
    ],
)
async def test_wrong_configuration_is_one_line(
    change: Change | None, changes: dict[str, Any], line: str
) -> None:
    async with SimulatedCarrier(CONFIG) as carrier:
        if change is not None:
            change(carrier.configuration)
        assert any(line in found for found in (await findings(carrier, **changes)).values())


async def test_subaccount_without_a_shown_balance_is_no_problem() -> None:
    async with SimulatedCarrier(replace(CONFIG, balance=None)) as carrier:
        assert set(await findings(carrier)) == {"geographic permissions"}


def test_unreachable_carrier_is_one_line() -> None:
    [finding] = check_account(settings_at(f"http://127.0.0.1:{free_port()}"))
    assert finding.mark is Mark.BAD
    assert "the carrier cannot be reached: ConnectError" in finding.found


def test_carrier_that_does_not_answer_ends_in_time() -> None:
    with rest_server() as server:
        server.put(f"/2010-04-01/Accounts/{ACCOUNT.sid}.json", Answer(stays=True))
        [finding] = check_account(settings_at(server.url, timeout_s=0.2))
        assert "ReadTimeout" in finding.found
