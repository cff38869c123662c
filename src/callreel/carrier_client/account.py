"""The account's configuration at the carrier: its state and balance, phone numbers, TwiML apps and API keys.

`callreel account` and `callreel doctor` use it. Every method raises CarrierError; blocking.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from typing import Any, Self

import httpx2
from twilio.rest.api.v2010.account.application import ApplicationInstance
from twilio.rest.api.v2010.account.incoming_phone_number import IncomingPhoneNumberInstance

from callreel.carrier_client.rest import CarrierAccess, account_of, carrier_errors, deleted, http_client
from callreel.domain.errors import CarrierError


@dataclass(frozen=True, slots=True)
class VoiceUrls:
    """Where calls of an app or a number go. Empty: not set. A number's app or trunk has precedence over its URLs."""

    voice_url: str = ""
    voice_method: str = "POST"
    status_callback: str = ""
    status_callback_method: str = "POST"
    voice_application_sid: str = ""
    trunk_sid: str = ""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From JSON or attributes; unset values become the defaults."""
        names = [field.name for field in fields(cls) if values.get(field.name)]
        return cls(**{name: str(values[name]) for name in names})


@dataclass(frozen=True, slots=True)
class TwimlApp:
    """Where the carrier sends calls of browsers."""

    sid: str
    friendly_name: str
    urls: VoiceUrls


@dataclass(frozen=True, slots=True)
class OwnedNumber:
    """A phone number of the account. `voice`: whether it can make and take calls."""

    sid: str
    phone_number: str
    voice: bool
    urls: VoiceUrls


@dataclass(frozen=True, slots=True)
class NewKey:
    """An API key as it was created; its secret is never shown again."""

    sid: str
    secret: str


@dataclass(frozen=True, slots=True)
class AccountState:
    """`status` is `active`, `suspended` or `closed`; `type` is `Trial` or `Full`."""

    status: str
    type: str


class CarrierAccount:
    """`access` with the auth token reaches everything; with an API key all but the account's state and its keys."""

    def __init__(self, access: CarrierAccess, transport: httpx2.BaseTransport | None = None) -> None:
        self._http = http_client(access, transport)
        self._account = account_of(access, self._http)

    def close(self) -> None:
        self._http.close()

    def state(self) -> AccountState:
        """Needs the auth token."""
        with carrier_errors("a query for the account"):
            found = self._account.fetch()
            return AccountState(str(found.status), str(found.type))

    def balance(self) -> tuple[Decimal, str] | None:
        """Amount and currency; None if the carrier does not show it, as for a subaccount."""
        with carrier_errors("a query for the balance"):
            try:
                found = self._account.balance.fetch()
                return Decimal(str(found.balance)), str(found.currency)
            except CarrierError as error:
                if error.status in (401, 403, 404):
                    return None
                raise
            except ArithmeticError:
                return None

    def numbers(self) -> list[OwnedNumber]:
        """Sorted by number."""
        with carrier_errors("a list of phone numbers"):
            listed = self._account.incoming_phone_numbers.list(page_size=1000)
            return sorted(map(_number, listed), key=lambda number: number.phone_number)

    def update_number(self, sid: str, urls: VoiceUrls) -> None:
        with carrier_errors("a change of a phone number"):
            self._account.incoming_phone_numbers(sid).update(**asdict(urls))

    def apps(self) -> list[TwimlApp]:
        with carrier_errors("a list of TwiML apps"):
            return [_app(found) for found in self._account.applications.list(page_size=1000)]

    def create_app(self, friendly_name: str, urls: VoiceUrls) -> str:
        """The SID of the new app."""
        with carrier_errors("a request for a TwiML app"):
            created = self._account.applications.create(friendly_name=friendly_name, **_app_values(urls))
            return str(created.sid)

    def update_app(self, sid: str, urls: VoiceUrls) -> None:
        with carrier_errors("a change of a TwiML app"):
            self._account.applications(sid).update(**_app_values(urls))

    def delete_app(self, sid: str) -> bool:
        """False if it was deleted already."""
        return deleted(self._account.applications(sid).delete)

    def create_key(self, friendly_name: str) -> NewKey:
        """A standard API key. Needs the auth token."""
        with carrier_errors("a request for an API key"):
            created = self._account.new_keys.create(friendly_name=friendly_name)
            return NewKey(str(created.sid), str(created.secret))

    def delete_key(self, sid: str) -> bool:
        """False if it was deleted already. Needs the auth token."""
        return deleted(self._account.keys(sid).delete)


def _app_values(urls: VoiceUrls) -> dict[str, str]:
    return {
        name: value
        for name, value in asdict(urls).items()
        if name not in ("voice_application_sid", "trunk_sid")
    }


def _app(found: ApplicationInstance) -> TwimlApp:
    return TwimlApp(str(found.sid), found.friendly_name or "", VoiceUrls.of(vars(found)))


def _number(found: IncomingPhoneNumberInstance) -> OwnedNumber:
    capabilities = found.capabilities or {}
    return OwnedNumber(
        str(found.sid), str(found.phone_number), bool(capabilities.get("voice")), VoiceUrls.of(vars(found))
    )
