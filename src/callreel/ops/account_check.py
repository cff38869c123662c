"""Asks the carrier whether the settings fit the account: credentials, number, TwiML app and the URLs of both.

One finding per line, with what to do. Reads only.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from callreel.carrier_client.account import CarrierAccount, VoiceUrls
from callreel.carrier_client.rest import CarrierAccess
from callreel.domain.errors import CarrierError
from callreel.ops.account_setup import wanted_urls
from callreel.ops.diagnosis import Finding, Mark

LOW_BALANCE = Decimal(5)
_REFUSED = (401, 403, 404)
_SETUP = "callreel account setup corrects it"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """What is configured. `by_token` and `by_key` are None where the auth token or the key is not set."""

    by_token: CarrierAccess | None
    by_key: CarrierAccess | None
    public_url: str
    public_url_is_local: bool
    app_sid: str | None
    number: str | None


def check_account(
    settings: AccountSettings, connect: Callable[[CarrierAccess], CarrierAccount] = CarrierAccount
) -> list[Finding]:
    """Findings about the account; empty without credentials, which other checks report."""
    found = list[Finding]()
    usable: CarrierAccess | None = None
    try:
        for access, check in ((settings.by_token, _token), (settings.by_key, _key)):
            if access is None:
                continue
            account = connect(access)
            try:
                finding = check(account, access)
            finally:
                account.close()
            found.append(finding)
            usable = usable or (access if finding.mark is not Mark.BAD else None)
        if usable is not None:
            account = connect(usable)
            try:
                found += _configuration(account, settings)
            finally:
                account.close()
    except CarrierError as error:
        advice = "connect this machine to the network, or check CALLREEL_CARRIER_API_URL; the other checks do not need it"
        host = next(access.api_url for access in (settings.by_token, settings.by_key) if access is not None)
        found.append(Finding(Mark.BAD, "carrier", f"not checked at {host}: {error}", advice))
    return found


def _token(account: CarrierAccount, access: CarrierAccess) -> Finding:
    what = "account SID and auth token"
    try:
        state = account.state()
    except CarrierError as error:
        if error.status not in _REFUSED:
            raise
        advice = "copy TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN from the carrier's console again"
        return Finding(Mark.BAD, what, f"the carrier rejects them ({error.status})", advice)
    if state.status != "active":
        return Finding(Mark.BAD, what, f"the account is {state.status}", "see the carrier's console")
    if state.type == "Trial":
        advice = "it calls verified numbers only and plays a notice: upgrade it in the carrier's console"
        return Finding(Mark.WARN, what, "accepted; this is a trial account", advice)
    return Finding(Mark.OK, what, "accepted, the account is active")


def _key(account: CarrierAccount, access: CarrierAccess) -> Finding:
    what = f"API key {access.username}"
    try:
        account.apps()
    except CarrierError as error:
        if error.status not in _REFUSED:
            raise
        advice = (
            "create a standard key and set TWILIO_API_KEY_SID and TWILIO_API_KEY_SECRET, or remove both and run"
            " callreel account setup"
        )
        return Finding(
            Mark.BAD, what, f"the carrier rejects it or its secret for this account ({error.status})", advice
        )
    return Finding(Mark.OK, what, "accepted")


def _configuration(account: CarrierAccount, settings: AccountSettings) -> Iterator[Finding]:
    urls = wanted_urls(settings.public_url)
    if settings.public_url_is_local:
        yield Finding(
            Mark.BAD, "public address", f"the carrier cannot reach {settings.public_url}",
            "start a tunnel or proxy, set CALLREEL_PUBLIC_URL to its https address and run callreel account setup",
        )  # fmt: skip
    if settings.app_sid is not None:
        app = next((one for one in account.apps() if one.sid == settings.app_sid), None)
        yield _urls_of(f"TwiML app {settings.app_sid}", app.urls if app else None, urls)
    if settings.number is not None:
        number = next((one for one in account.numbers() if one.phone_number == settings.number), None)
        what = f"number …{settings.number[-2:]}"
        if number is not None and not number.voice:
            yield Finding(Mark.BAD, what, "cannot make or take calls", "choose one with the Voice capability")
        else:
            yield _urls_of(what, number.urls if number else None, urls)
    yield _balance(account)
    yield Finding(
        Mark.WARN, "geographic permissions", "not known: the account API does not report them",
        "check that the carrier's console permits calls to the countries that you call",
    )  # fmt: skip


def _urls_of(what: str, urls: VoiceUrls | None, wanted: VoiceUrls) -> Finding:
    """Compares where calls go with where they must go."""
    if urls is None:
        return Finding(Mark.BAD, what, "does not exist in this account", _SETUP)
    if urls.voice_application_sid or urls.trunk_sid:
        other = f"TwiML app {urls.voice_application_sid}" if urls.voice_application_sid else "a SIP trunk"
        return Finding(Mark.BAD, what, f"its calls go to {other}, not to its voice URL", _SETUP)
    if urls.voice_url != wanted.voice_url:
        shown = urls.voice_url or "not set"
        return Finding(Mark.BAD, what, f"its voice URL is {shown}, expected {wanted.voice_url}", _SETUP)
    if urls != wanted:
        found = f"its status callback URL is {urls.status_callback or 'not set'}, or a method is not POST"
        return Finding(Mark.WARN, what, f"{found}; expected {wanted.status_callback}", _SETUP)
    return Finding(Mark.OK, what, f"its calls go to {wanted.voice_url}")


def _balance(account: CarrierAccount) -> Finding:
    balance = account.balance()
    if balance is None:
        return Finding(Mark.OK, "balance", "the carrier does not show it for these credentials")
    amount, currency = balance
    shown = f"{amount:.2f} {currency}"
    if amount <= 0:
        return Finding(
            Mark.BAD, "balance", f"{shown}, so calls are refused", "add funds in the carrier's console"
        )
    if amount < LOW_BALANCE:
        return Finding(Mark.WARN, "balance", f"low: {shown}", "add funds in the carrier's console")
    return Finding(Mark.OK, "balance", shown)
