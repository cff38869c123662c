"""Configures the carrier's account for this server, and undoes it: API key, TwiML app, the URLs of a phone number.

A plan compares what the carrier has with what is wanted; applying it changes only the difference, so a second run changes
nothing. Each step is recorded before or directly after it is done, so that an interrupted run can be repeated or undone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from callreel.carrier_client.account import CarrierAccount, OwnedNumber, TwimlApp, VoiceUrls
from callreel.domain.errors import CarrierError, SettingsError

VOICE_PATH = "/twilio/voice"
STATUS_PATH = "/twilio/call-status"

_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class ChangedUrls:
    """URLs that were replaced: `former` are restored, unless somebody has changed `ours` since."""

    former: VoiceUrls
    ours: VoiceUrls
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoRecord:
    """What was created and changed, without secrets. `settings` are those that were added to the settings file."""

    account_sid: str
    key_sids: tuple[str, ...] = ()
    app_sids: tuple[str, ...] = ()
    apps: Mapping[str, ChangedUrls] = field(default_factory=dict)
    numbers: Mapping[str, ChangedUrls] = field(default_factory=dict)
    settings: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, text: str) -> "UndoRecord":
        """Raises SettingsError for anything else than a record."""
        try:
            return _RECORD.validate_json(text)
        except ValidationError:
            raise SettingsError(
                "the undo record is damaged: restore it from a backup, or delete it and undo the changes in the carrier's console"
            ) from None

    def to_json(self) -> str:
        return _RECORD.dump_json(self, indent=2).decode() + "\n"


_RECORD = TypeAdapter(UndoRecord)

Save = Callable[[UndoRecord, Mapping[str, str]], None]
"""Stores the record, and settings by the names of their fields, before the next step."""


def wanted_urls(public_url: str) -> VoiceUrls:
    """The URLs of this server, for its TwiML app and its number."""
    return VoiceUrls(voice_url=public_url + VOICE_PATH, status_callback=public_url + STATUS_PATH)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupPlan:
    """The difference between the account and what is wanted. `app` is the app to use; None: a new one is created."""

    urls: VoiceUrls
    number: OwnedNumber
    app: TwimlApp | None
    creates_key: bool

    @property
    def name(self) -> str:
        """The name of what is created."""
        return f"Callreel {urlsplit(self.urls.voice_url).netloc}"[:_LONGEST_NAME]

    @property
    def lines(self) -> list[str]:
        """One line for each change at the carrier; empty if there is nothing to change."""
        lines = [f"create API key “{self.name}” (standard)"] if self.creates_key else []
        if self.app is None:
            lines.append(f"create TwiML app “{self.name}” with voice URL {self.urls.voice_url}")
        else:
            lines += _differences(f"TwiML app {self.app.sid}", self.app.urls, self.urls)
        return lines + _differences(f"number {self.number.phone_number}", self.number.urls, self.urls)


def _differences(what: str, before: VoiceUrls, after: VoiceUrls) -> list[str]:
    titles = {
        "voice_url": "voice URL",
        "voice_method": "voice method",
        "status_callback": "status callback URL",
        "status_callback_method": "status callback method",
        "voice_application_sid": "TwiML app",
        "trunk_sid": "SIP trunk",
    }
    return [
        f"{what}: {title} {getattr(before, name) or 'not set'} → {getattr(after, name) or 'not set'}"
        for name, title in titles.items()
        if getattr(before, name) != getattr(after, name)
    ]


def plan_setup(
    account: CarrierAccount, urls: VoiceUrls, number: OwnedNumber, *, app_sid: str | None, has_key: bool
) -> SetupPlan:
    """`app_sid` is the configured app, `has_key` whether a key is configured. An app with our voice URL is used again."""
    apps = account.apps()
    app = next((one for one in apps if one.sid == app_sid), None)
    app = app or next((one for one in apps if one.urls.voice_url == urls.voice_url), None)
    return SetupPlan(urls=urls, number=number, app=app, creates_key=not has_key)


def apply_setup(account: CarrierAccount, plan: SetupPlan, record: UndoRecord, save: Save) -> None:
    """Carry out the plan. Raises CarrierError; what was done until then is recorded."""
    if plan.creates_key:
        try:
            key = account.create_key(plan.name)
        except CarrierError as error:
            if error.status not in (401, 403):
                raise
            raise CarrierError(
                "the carrier does not let these credentials create an API key: create a standard key in its console"
                " and set TWILIO_API_KEY_SID and TWILIO_API_KEY_SECRET",
                retryable=False, status=error.status,
            ) from None  # fmt: skip
        record = replace(record, key_sids=(*record.key_sids, key.sid))
        save(record, {"api_key_sid": key.sid, "api_key_secret": key.secret})
    app_sid = plan.app.sid if plan.app else account.create_app(plan.name, plan.urls)
    if plan.app is None:
        record = replace(record, app_sids=(*record.app_sids, app_sid))
    elif plan.app.urls != plan.urls:
        changed = _changed(record.apps.get(app_sid), plan.app.urls, plan.urls, plan.app.friendly_name)
        record = replace(record, apps={**record.apps, app_sid: changed})
        save(record, {})
        account.update_app(app_sid, plan.urls)
    save(record, {"twiml_app_sid": app_sid})
    number = plan.number
    if number.urls != plan.urls:
        changed = _changed(record.numbers.get(number.sid), number.urls, plan.urls, number.phone_number)
        record = replace(record, numbers={**record.numbers, number.sid: changed})
        save(record, {})
        account.update_number(number.sid, plan.urls)
    save(record, {"caller_id": number.phone_number})


def _changed(known: ChangedUrls | None, before: VoiceUrls, after: VoiceUrls, name: str) -> ChangedUrls:
    """Of several changes the first one's former URLs count, unless somebody else changed them in between."""
    former = known.former if known is not None and known.ours == before else before
    return ChangedUrls(former, after, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalPlan:
    """What undoing does: URLs to restore by SID, and what others changed since, which stays as it is."""

    record: UndoRecord
    numbers: Mapping[str, ChangedUrls]
    apps: Mapping[str, ChangedUrls]
    kept: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        lines = list[str]()
        for number in self.numbers.values():
            lines += _differences(f"number {number.name}", number.ours, number.former)
        for sid, app in self.apps.items():
            lines += _differences(f"TwiML app {sid}", app.ours, app.former)
        lines += [f"delete TwiML app {sid}" for sid in self.record.app_sids]
        lines += [f"delete API key {sid}" for sid in self.record.key_sids]
        return lines + [f"keep {what}: its URLs were changed since" for what in self.kept]


def plan_removal(account: CarrierAccount, record: UndoRecord) -> RemovalPlan:
    numbers = {number.sid: number.urls for number in account.numbers()} if record.numbers else {}
    apps = {app.sid: app.urls for app in account.apps()} if record.apps else {}
    ours = {sid: changed for sid, changed in record.numbers.items() if numbers.get(sid) == changed.ours}
    our_apps = {sid: changed for sid, changed in record.apps.items() if apps.get(sid) == changed.ours}
    kept = [f"number {each.name}" for sid, each in record.numbers.items() if sid not in ours]
    kept += [f"TwiML app {sid}" for sid in record.apps if sid not in our_apps]
    return RemovalPlan(record=record, numbers=ours, apps=our_apps, kept=tuple(kept))


def apply_removal(account: CarrierAccount, plan: RemovalPlan, save: Save) -> UndoRecord:
    """Undo the set-up; returns the record of what remains, which is a key if only a key was given as credentials."""
    record = plan.record
    for sid, number in plan.numbers.items():
        account.update_number(sid, number.former)
    for sid, app in plan.apps.items():
        account.update_app(sid, app.former)
    for sid in record.app_sids:
        account.delete_app(sid)
    record = replace(record, numbers={}, apps={}, app_sids=())
    save(record, {})
    for sid in record.key_sids:
        try:
            account.delete_key(sid)
        except CarrierError as error:
            if error.status not in (401, 403):
                raise
            break
        record = replace(record, key_sids=tuple(key for key in record.key_sids if key != sid))
        save(record, {})
    return record
