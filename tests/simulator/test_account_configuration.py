"""The account's configuration over REST by the official library: keys, TwiML apps, numbers, balance; calls follow it."""

import asyncio
from typing import Any

import httpx2
import pytest
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.rest import Client

from callreel.domain.call import Direction
from callreel.simulator.carrier import SimulatedCarrier
from tests.simulator.calling import carrier_for, script
from tests.simulator.official_client import LocalHttpClient
from tests.simulator.receiver import receiving

NUMBERS = ("+12025550123", "+14155550199")
URLS: dict[str, Any] = {
    "voice_url": "https://calls.example.com/twilio/voice",
    "voice_method": "GET",
    "status_callback": "https://calls.example.com/twilio/call-status",
}


def client_with(carrier: SimulatedCarrier, user: str, password: str) -> Any:
    return Client(user, password, carrier.account.sid, http_client=LocalHttpClient(carrier.api_url))


def main_client(carrier: SimulatedCarrier) -> Any:
    return client_with(carrier, carrier.account.sid, carrier.account.auth_token)


def error_of(refused: pytest.ExceptionInfo[TwilioRestException]) -> tuple[int, int]:
    return refused.value.status, refused.value.code


def use_account_and_keys(carrier: SimulatedCarrier) -> None:
    client = main_client(carrier)
    account = client.api.v2010.accounts(carrier.account.sid)
    fetched = account.fetch()
    assert (fetched.sid, fetched.status, fetched.type) == (carrier.account.sid, "active", "Full")
    assert (account.balance.fetch().balance, account.balance.fetch().currency) == ("25.00", "USD")
    key = account.new_keys.create(friendly_name="Callreel")
    assert len(key.sid) == 34
    assert key.sid.startswith("SK")
    assert [(each.sid, each.friendly_name) for each in account.keys.list()][0] == (key.sid, "Callreel")
    assert not hasattr(account.keys(key.sid).fetch(), "secret")
    assert account.keys(key.sid).update(friendly_name="Renamed").friendly_name == "Renamed"
    by_key = client_with(carrier, key.sid, key.secret)
    assert len(by_key.incoming_phone_numbers.list()) == 2
    assert by_key.applications.list() == []
    with pytest.raises(TwilioException, match="20003"):  # the library raises this for lists
        by_key.keys.list()
    with pytest.raises(TwilioRestException) as refused:
        by_key.api.v2010.accounts(carrier.account.sid).fetch()
    assert error_of(refused) == (401, 20003)
    assert account.keys(key.sid).delete()
    with pytest.raises(TwilioException, match="20003"):
        by_key.incoming_phone_numbers.list()
    with pytest.raises(TwilioRestException) as refused:
        account.keys(key.sid).fetch()
    assert error_of(refused) == (404, 20404)


def use_apps_and_numbers(carrier: SimulatedCarrier) -> None:
    client = main_client(carrier)
    app = client.applications.create(friendly_name="Callreel", **URLS)
    assert (app.friendly_name, app.voice_url, app.voice_method) == ("Callreel", URLS["voice_url"], "GET")
    assert (app.voice_fallback_url, app.voice_fallback_method) == (None, "POST")
    assert [each.sid for each in client.applications.list(friendly_name="Callreel")] == [app.sid]
    assert client.applications.list(friendly_name="Other") == []
    changed = client.applications(app.sid).update(status_callback="", voice_method="POST")
    assert (changed.status_callback, changed.voice_url) == (None, URLS["voice_url"])
    numbers = client.incoming_phone_numbers.list()
    assert {number.phone_number for number in numbers} == set(NUMBERS)
    assert all(number.capabilities["voice"] for number in numbers)
    [found] = client.incoming_phone_numbers.list(phone_number="+1415*55")
    number = client.incoming_phone_numbers(found.sid)
    updated = number.update(**URLS, voice_application_sid=app.sid)
    assert (updated.voice_url, updated.voice_application_sid) == (URLS["voice_url"], app.sid)
    trunk = number.update(trunk_sid="TK" + "0" * 32)
    assert (trunk.trunk_sid, trunk.voice_application_sid) == ("TK" + "0" * 32, None)
    wrong: tuple[tuple[dict[str, str], int], ...] = (
        ({"voice_url": "calls.example.com"}, 21402),
        ({"voice_method": "PUT"}, 21403),
        ({"voice_application_sid": "AP" + "0" * 32}, 20001),
        ({"friendly_name": "x" * 65}, 20001),
    )
    for values, code in wrong:
        with pytest.raises(TwilioRestException) as refused:
            number.update(**values)
        assert error_of(refused) == (400, code)
    assert number.fetch().voice_url == URLS["voice_url"]
    assert client.applications(app.sid).delete()
    with pytest.raises(TwilioRestException) as refused:
        client.applications(app.sid).fetch()
    assert error_of(refused) == (404, 20404)


async def test_configuration_is_read_and_changed_by_the_official_library() -> None:
    async with receiving() as got, carrier_for(got, application_sid="", numbers=NUMBERS) as carrier:
        await asyncio.to_thread(use_account_and_keys, carrier)
        await asyncio.to_thread(use_apps_and_numbers, carrier)


async def test_subaccount_shows_no_balance() -> None:
    async with receiving() as got, carrier_for(got, balance=None) as carrier:
        account = main_client(carrier).api.v2010.accounts(carrier.account.sid)
        with pytest.raises(TwilioRestException) as missing:
            await asyncio.to_thread(account.balance.fetch)
        assert error_of(missing) == (404, 20404)


async def test_calls_use_the_urls_of_their_app_and_number() -> None:
    async with (
        receiving(pages=("number",)) as got,
        carrier_for(got, voice_url="", status_callback=None, application_sid="", numbers=NUMBERS) as carrier,
    ):
        before = await carrier.place(script(voice_ms=100))
        assert (before.refused, got.webhooks) == (True, [])
        client = main_client(carrier)
        app = await asyncio.to_thread(
            client.applications.create, voice_url=got.voice_url, status_callback=f"{got.url}/app"
        )
        assert not (await carrier.place(script(voice_ms=100))).refused
        assert got.forms("/voice")[0]["ApplicationSid"] == app.sid
        assert got.forms("/app")[-1]["CallStatus"] == "completed"
        [number] = await asyncio.to_thread(client.incoming_phone_numbers.list, phone_number=NUMBERS[0])
        url = {"voice_url": f"{got.url}/number"}
        await asyncio.to_thread(client.incoming_phone_numbers(number.sid).update, **url)
        incoming = {"direction": Direction.INCOMING, "our_number": NUMBERS[0], "voice_ms": 100}
        assert not (await carrier.place(script(**incoming))).refused
        assert "ApplicationSid" not in got.forms("/number")[0]


async def test_configuration_needs_credentials() -> None:
    async with receiving() as got, carrier_for(got) as carrier:
        base = f"{carrier.api_url}/2010-04-01/Accounts/{carrier.account.sid}"
        async with httpx2.AsyncClient(trust_env=False) as client:
            for path in (".json", "/Balance.json", "/Keys.json", "/Applications.json"):
                answer = await client.get(base + path)
                assert (answer.status_code, answer.json()["code"]) == (401, 20003)
