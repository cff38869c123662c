"""The set-up of an account: interrupted runs, changes by others in between, and credentials that reach less."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from callreel.carrier_client.account import NewKey, OwnedNumber, TwimlApp, VoiceUrls
from callreel.domain.errors import CarrierError, SettingsError
from callreel.ops.account_setup import (
    UndoRecord,
    apply_removal,
    apply_setup,
    plan_removal,
    plan_setup,
    wanted_urls,
)

URLS = wanted_urls("https://calls.example.com")
FORMER = VoiceUrls(voice_url="https://former.example.com/", trunk_sid="TK1")


class FakeAccount:
    """An account in memory; `failing` names the method that fails, with a status."""

    def __init__(self, failing: str = "", status: int | None = None) -> None:
        self.urls: dict[str, VoiceUrls] = {"PN1": FORMER}
        self.existing: dict[str, TwimlApp] = {}
        self.keys = ["SK0"]
        self.failing, self.status = failing, status

    def _do(self, name: str) -> None:
        if name == self.failing:
            raise CarrierError("the carrier answered", retryable=False, status=self.status)

    def numbers(self) -> list[OwnedNumber]:
        return [OwnedNumber(sid, "+12025550123", True, urls) for sid, urls in self.urls.items()]

    def apps(self) -> list[TwimlApp]:
        return list(self.existing.values())

    def update_number(self, sid: str, urls: VoiceUrls) -> None:
        self._do("update_number")
        self.urls[sid] = urls

    def create_app(self, name: str, urls: VoiceUrls) -> str:
        self._do("create_app")
        self.existing["AP1"] = TwimlApp("AP1", name, urls)
        return "AP1"

    def update_app(self, sid: str, urls: VoiceUrls) -> None:
        self.existing[sid] = TwimlApp(sid, self.existing[sid].friendly_name, urls)

    def delete_app(self, sid: str) -> bool:
        return self.existing.pop(sid, None) is not None

    def create_key(self, name: str) -> NewKey:
        self._do("create_key")
        self.keys.append("SK1")
        return NewKey("SK1", "secret")

    def delete_key(self, sid: str) -> bool:
        self._do("delete_key")
        self.keys.remove(sid)
        return True


class Saved:
    """What was stored of a set-up."""

    def __init__(self) -> None:
        self.record = UndoRecord(account_sid="AC1")
        self.values: dict[str, str] = {}

    def __call__(self, record: UndoRecord, values: Mapping[str, str]) -> None:
        self.record = UndoRecord.from_json(record.to_json())
        self.values |= values


def set_up(account: Any, saved: Saved, urls: VoiceUrls = URLS) -> list[str]:
    """One run; returns the lines of its plan."""
    [number] = account.numbers()
    has_key = "api_key_sid" in saved.values
    plan = plan_setup(account, urls, number, app_sid=saved.values.get("twiml_app_sid"), has_key=has_key)
    apply_setup(account, plan, saved.record, saved)
    return plan.lines


@pytest.fixture
def saved() -> Iterator[Saved]:
    yield Saved()


@pytest.mark.parametrize("failing", ["create_app", "update_number"])
def test_interrupted_setup_is_continued_and_undone(failing: str, saved: Saved) -> None:
    account: Any = FakeAccount(failing)
    with pytest.raises(CarrierError):
        set_up(account, saved)
    assert saved.values["api_key_secret"] == "secret"
    account.failing = ""
    assert "API key" not in " ".join(set_up(account, saved))
    assert set_up(account, saved) == []
    assert account.urls["PN1"] == URLS
    remaining = apply_removal(account, plan_removal(account, saved.record), saved)
    assert account.urls["PN1"] == FORMER
    assert (account.existing, account.keys, remaining.key_sids) == ({}, ["SK0"], ())


def test_second_address_keeps_the_first_urls_for_undo(saved: Saved) -> None:
    account: Any = FakeAccount()
    set_up(account, saved)
    moved = wanted_urls("https://moved.example.com")
    assert f"TwiML app AP1: voice URL {URLS.voice_url} → {moved.voice_url}" in set_up(account, saved, moved)
    apply_removal(account, plan_removal(account, saved.record), saved)
    assert account.urls["PN1"] == FORMER


def test_urls_that_others_changed_since_stay(saved: Saved) -> None:
    account: Any = FakeAccount()
    set_up(account, saved)
    account.urls["PN1"] = other = VoiceUrls(voice_url="https://other.example.com/")
    plan = plan_removal(account, saved.record)
    assert "keep number +12025550123: its URLs were changed since" in plan.lines
    apply_removal(account, plan, saved)
    assert account.urls["PN1"] == other


def test_existing_app_with_our_voice_url_is_used_again(saved: Saved) -> None:
    account: Any = FakeAccount()
    account.existing["AP7"] = TwimlApp("AP7", "by hand", VoiceUrls(voice_url=URLS.voice_url))
    set_up(account, saved)
    assert saved.values["twiml_app_sid"] == "AP7"
    apply_removal(account, plan_removal(account, saved.record), saved)
    assert account.existing["AP7"].urls == VoiceUrls(voice_url=URLS.voice_url)


def test_refused_key_says_how_to_give_one(saved: Saved) -> None:
    with pytest.raises(CarrierError, match="create a standard key in its console"):
        set_up(FakeAccount("create_key", 401), saved)


def test_key_that_cannot_be_deleted_stays_in_the_record(saved: Saved) -> None:
    account: Any = FakeAccount()
    set_up(account, saved)
    account.failing, account.status = "delete_key", 401
    assert apply_removal(account, plan_removal(account, saved.record), saved).key_sids == ("SK1",)


def test_damaged_record_is_one_line() -> None:
    with pytest.raises(SettingsError, match="the undo record is damaged"):
        UndoRecord.from_json('{"account_sid": 7}')
