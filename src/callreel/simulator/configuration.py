"""What the carrier's account is configured with, in memory: API keys, TwiML apps, phone numbers and the balance.

The REST API shows and changes it; calls read the URLs of their app or number from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from callreel.simulator.account import Account

VOICE_DEFAULTS: Mapping[str, Any] = {
    "voice_url": None,
    "voice_method": "POST",
    "voice_fallback_url": None,
    "voice_fallback_method": "POST",
    "voice_caller_id_lookup": False,
    "status_callback": None,
    "status_callback_method": "POST",
    "sms_url": None,
    "sms_method": "POST",
    "sms_fallback_url": None,
    "sms_fallback_method": "POST",
}
"""The fields that TwiML apps and phone numbers share, with the carrier's defaults."""

NUMBER_DEFAULTS: Mapping[str, Any] = {**VOICE_DEFAULTS, "voice_application_sid": None, "trunk_sid": None}
APP_DEFAULTS: Mapping[str, Any] = {**VOICE_DEFAULTS, "message_status_callback": None}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A standard API key: it authenticates REST requests and signs access tokens."""

    sid: str
    secret: str
    friendly_name: str
    created_at: datetime
    updated_at: datetime


@dataclass(slots=True, eq=False)
class Configured:
    """A TwiML app or a phone number. `fields` has the names of the carrier's JSON; a number's includes `phone_number`."""

    sid: str
    friendly_name: str
    fields: dict[str, Any]
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(slots=True, eq=False)
class AccountConfiguration:
    """Keys, apps and numbers by SID, oldest first. `balance` is in US dollars, None for a subaccount, which shows none."""

    account: Account = field(default_factory=Account)
    balance: str | None = "25.00"
    keys: dict[str, ApiKey] = field(default_factory=dict)
    apps: dict[str, Configured] = field(default_factory=dict)
    numbers: dict[str, Configured] = field(default_factory=dict)

    def __post_init__(self) -> None:
        account, now = self.account, datetime.now(UTC)
        if account.api_key_sid != account.sid:
            key = ApiKey(account.api_key_sid, account.api_key_secret, "", now, now)
            self.keys[key.sid] = key

    def authenticates(self, user: str, password: str) -> bool:
        """Whether these HTTP Basic credentials are valid: the account's auth token, or an API key."""
        return self.is_auth_token(user, password) or bool(password and self.key_secret(user) == password)

    def is_auth_token(self, user: str, password: str) -> bool:
        return (user, password) == (self.account.sid, self.account.auth_token)

    def key_secret(self, sid: str) -> str:
        """The secret of an API key; empty if there is no such key."""
        return self.keys[sid].secret if sid in self.keys else ""

    def rename_key(self, sid: str, friendly_name: str) -> ApiKey:
        key = replace(self.keys[sid], friendly_name=friendly_name, updated_at=datetime.now(UTC))
        self.keys[sid] = key
        return key

    def at_number(self, phone_number: str) -> Configured | None:
        """Where calls to `phone_number` arrive: the number, or the app that it names; None if it is not ours."""
        for number in self.numbers.values():
            if number.fields["phone_number"] == phone_number:
                return self.apps.get(number.fields["voice_application_sid"] or "", number)
        return None
