"""`callreel account`: connects this server to an account at the carrier, shows the connection, and undoes it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from callreel.cli.command import AsJson, DryRun, configure, print_json, report, with_options
from callreel.domain.errors import CallreelError, CarrierError, SettingsError

if TYPE_CHECKING:
    from callreel.carrier_client.account import CarrierAccount, OwnedNumber
    from callreel.ops.account_setup import UndoRecord
    from callreel.settings import Settings

app = typer.Typer(
    name="account", help="Connect to an account at the carrier, and undo that.", no_args_is_help=True
)

TIMEOUT_S = 10.0
_SECRETS = frozenset({"auth_token", "api_key_secret"})

Yes = Annotated[bool, typer.Option("--yes", help="Make the changes without asking.")]
TokenFromStdin = Annotated[
    bool, typer.Option("--auth-token-stdin", help="Read the auth token from standard input.")
]


@dataclass(frozen=True, kw_only=True)
class SetupOptions:
    """Options of `callreel account setup`."""

    account_sid: Annotated[
        str | None, typer.Option(help="Account SID, AC….", show_default="TWILIO_ACCOUNT_SID, or asked for")
    ] = None
    auth_token_stdin: TokenFromStdin = False
    public_url: Annotated[
        str | None,
        typer.Option(
            help="https address at which the carrier reaches this server.",
            show_default="CALLREEL_PUBLIC_URL, or asked for",
        ),
    ] = None
    number: Annotated[
        str | None,
        typer.Option(
            help="Phone number of the account to use.",
            show_default="TWILIO_PHONE_NUMBER, the only one, or asked for",
        ),
    ] = None
    yes: Yes = False
    dry_run: DryRun = False


@app.command()
@with_options(SetupOptions)
def setup(options: SetupOptions) -> None:
    """Connect this server to an account: API key, TwiML app, the URLs of a phone number, and the settings file.

    Shows what it will change and asks before it does. A second run changes nothing. Secrets are read from the environment,
    the settings file, standard input or a prompt, and written to the settings file, which only its owner can read.

    Examples:

    - `callreel account setup --public-url https://calls.example.com`

    - `pass show twilio | callreel account setup --auth-token-stdin --account-sid AC… --number +15551234567 --yes`
    """
    from callreel.ops.account_setup import apply_setup, plan_setup, wanted_urls
    from callreel.settings.file import require_writable

    path = _settings_path()
    require_writable(path)
    settings = _credentials(options)
    with _connected(settings) as account:
        _verify(account, settings)
        _verify_key(settings)
        number = _choose(account.numbers(), options.number or settings.caller_id)
        urls = wanted_urls(settings.public_url)
        plan = plan_setup(
            account, urls, number, app_sid=settings.twiml_app_sid, has_key=settings.api_key_secret is not None
        )
        store = _Store(path, settings)
        written = store.differing(_given(settings) | {"caller_id": number.phone_number})
        if plan.app is not None:
            written |= store.differing({"twiml_app_sid": plan.app.sid})
        names = set(written) | ({"api_key_sid", "api_key_secret"} if plan.creates_key else set())
        names |= {"twiml_app_sid"} if plan.app is None else set()
        lines = plan.lines + ([f"write {', '.join(sorted(names))} to {path} (mode 0600)"] if names else [])
        if not lines:
            report("nothing to change; check the connection with callreel doctor")
            return
        if _agreed(lines, yes=options.yes, dry_run=options.dry_run):
            store.save(store.record, written)
            apply_setup(account, plan, store.record, store.save)
            report("the account is set up; check it with callreel doctor, then start callreel serve")
            store.warn_of_environment()


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show the account: its state, balance, number, TwiML app and URLs, and the settings file.

    Example: `callreel account show`
    """
    settings = configure()
    path = _settings_path()
    with _connected(_require_credentials(settings)) as account:
        _verify(account, settings)
        balance = account.balance()
        number = next((one for one in account.numbers() if one.phone_number == settings.caller_id), None)
        found = next((one for one in account.apps() if one.sid == settings.twiml_app_sid), None)
    facts = {
        "account_sid": settings.account_sid,
        "balance": f"{balance[0]} {balance[1]}" if balance else None,
        "public_url": settings.public_url,
        "api_key_sid": settings.api_key_sid,
        "number": settings.caller_id if number else None,
        "number_voice_url": number.urls.voice_url if number else None,
        "twiml_app_sid": found.sid if found else None,
        "twiml_app_voice_url": found.urls.voice_url if found else None,
        "settings_file": str(path) if path.exists() else None,
        "undo_record": str(_record_path(path)) if _record_path(path).exists() else None,
    }
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        typer.echo(f"{name.replace('_', ' '):<20} {value or 'none'}")


@app.command()
def remove(auth_token_stdin: TokenFromStdin = False, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Undo `callreel account setup`: restore the number's former URLs, delete the TwiML app and the API key it created.

    Settings that it added are removed from the settings file.

    Example: `callreel account remove --dry-run`
    """
    from callreel.ops.account_setup import apply_removal, plan_removal

    path = _settings_path()
    settings = _credentials(SetupOptions(auth_token_stdin=auth_token_stdin), asks=False)
    store = _Store(path, settings)
    if not _record_path(path).exists():
        raise SettingsError(f"there is nothing to undo: no record of a set-up at {_record_path(path)}")
    with _connected(settings) as account:
        plan = plan_removal(account, store.record)
        names = store.record.settings
        lines = plan.lines + ([f"remove {', '.join(sorted(names))} from {path}"] if names else [])
        if not _agreed(lines, yes=yes, dry_run=dry_run):
            return
        remaining = apply_removal(account, plan, store.save)
    store.forget(remaining)
    if remaining.key_sids:
        report(
            f"API key {remaining.key_sids[0]} remains: deleting it needs the auth token; delete it in the carrier's console",
            err=True,
        )
        raise typer.Exit(1)
    report("the set-up is undone")


class _Store:
    """The settings file and the undo record beside it."""

    def __init__(self, path: Path, settings: Settings) -> None:
        """Raises SettingsError if the record belongs to another account."""
        from callreel.ops.account_setup import UndoRecord
        from callreel.settings.file import texts_in

        self._path = path
        self._texts = texts_in(path)
        self.record = UndoRecord(account_sid=settings.account_sid or "")
        kept = _record_path(path)
        if kept.exists():
            self.record = UndoRecord.from_json(kept.read_text(encoding="utf-8"))
        if self.record.account_sid != settings.account_sid:
            raise SettingsError(
                f"{kept} records the set-up of another account: undo it first with callreel account remove and that"
                " account's credentials, or delete the file"
            )

    def differing(self, values: Mapping[str, str]) -> dict[str, str]:
        """Those of `values` that the settings file does not have."""
        return {name: value for name, value in values.items() if self._texts.get(name) != value}

    def save(self, record: UndoRecord, values: Mapping[str, str]) -> None:
        """Write settings, then the record, which also names the settings that are new in the file."""
        from callreel.settings.file import change_settings, write_private

        changed = self.differing(values)
        added = {name for name in changed if name not in self._texts}
        names = tuple(sorted({*self.record.settings, *added}))
        self.record = replace(record, settings=names)
        write_private(_record_path(self._path), self.record.to_json())
        if changed:
            change_settings(self._path, changed)
            self._texts |= changed

    def forget(self, remaining: UndoRecord) -> None:
        """Remove the added settings; delete the record, unless something remains to be undone."""
        from callreel.settings.file import change_settings, write_private

        if self.record.settings and self._path.exists():
            change_settings(self._path, {}, remove=self.record.settings)
        if remaining.key_sids:
            write_private(_record_path(self._path), replace(remaining, settings=()).to_json())
        else:
            _record_path(self._path).unlink()

    def warn_of_environment(self) -> None:
        """Say which variables override what was written."""
        from callreel.settings import env_names

        for name, value in self._texts.items():
            for variable in env_names(name):
                if os.environ.get(variable, value) != value:
                    report(
                        f"{variable} in the environment has another value, which has precedence over {self._path.name}: remove it there",
                        err=True,
                    )


def _settings_path() -> Path:
    from callreel.settings.file import settings_path

    return settings_path(os.environ, Path.cwd())


def _record_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}.account-undo.json")


def _credentials(options: SetupOptions, *, asks: bool = True) -> Settings:
    """The settings with what was given or asked for. Raises SettingsError if credentials are missing or wrong in form."""
    given: dict[str, object] = {"account_sid": options.account_sid, "public_url": options.public_url}
    settings = configure(given)
    if options.auth_token_stdin:
        given["auth_token"] = sys.stdin.readline().strip()
    asks = asks and sys.stdin.isatty()
    if asks and settings.account_sid is None:
        given["account_sid"] = typer.prompt("Account SID").strip()
    if asks and settings.auth_token is None and not given.get("auth_token"):
        given["auth_token"] = typer.prompt("Auth token", hide_input=True).strip()
    if asks and "public_url" not in settings.sources:
        given["public_url"] = typer.prompt("Public https address of this server").strip()
    return _require_credentials(configure({name: value for name, value in given.items() if value}))


def _require_credentials(settings: Settings) -> Settings:
    if settings.account_sid is None:
        raise SettingsError("the account is unknown: give --account-sid or set TWILIO_ACCOUNT_SID")
    if settings.auth_token is None and settings.api_key_secret is None:
        raise SettingsError(
            "there are no credentials: pipe the auth token in with --auth-token-stdin or set TWILIO_AUTH_TOKEN"
        )
    return settings


def _given(settings: Settings) -> dict[str, str]:
    """The settings that a server needs and that are known before anything is created."""
    from callreel.runtime.loopback import is_loopback

    host = settings.public_url.partition("://")[2].partition("/")[0].partition(":")[0]
    if is_loopback(host) and settings.carrier_api_url.startswith("https://"):
        raise SettingsError(
            f"the carrier cannot reach {settings.public_url}: give the https address of a tunnel or proxy with --public-url"
        )
    names = ("account_sid", "auth_token", "api_key_sid", "api_key_secret")
    secrets = {name: getattr(settings, name) for name in names}
    values = {
        name: value.get_secret_value() if name in _SECRETS else value
        for name, value in secrets.items()
        if value is not None
    }
    return values | {"public_url": settings.public_url}


@contextmanager
def _connected(settings: Settings) -> Iterator[CarrierAccount]:
    from callreel.app.carrier import account_access
    from callreel.carrier_client.account import CarrierAccount

    account = CarrierAccount(replace(account_access(settings), timeout_s=TIMEOUT_S))
    try:
        yield account
    finally:
        account.close()


def _verify(account: CarrierAccount, settings: Settings) -> None:
    """Raise SettingsError if the carrier rejects the credentials or the account is not active."""
    try:
        if settings.auth_token is not None:
            state = account.state()
            if state.status != "active":
                raise SettingsError(f"the account is {state.status}: see the carrier's console")
        else:
            account.apps()
    except CarrierError as error:
        if error.status not in (401, 403, 404):
            raise
        named = "the auth token" if settings.auth_token is not None else "the API key and its secret"
        raise SettingsError(
            f"the carrier rejects these credentials ({error.status}): check the account SID and {named}"
        ) from None


def _verify_key(settings: Settings) -> None:
    """Raise SettingsError if an API key is configured and the carrier rejects it."""
    from callreel.app.carrier import carrier_access
    from callreel.carrier_client.account import CarrierAccount

    if settings.api_key_secret is None:
        return
    by_key = CarrierAccount(replace(carrier_access(settings), timeout_s=TIMEOUT_S))
    try:
        by_key.apps()
    except CarrierError as error:
        if error.status not in (401, 403, 404):
            raise
        raise SettingsError(
            f"the carrier rejects the API key ({error.status}): correct TWILIO_API_KEY_SID and TWILIO_API_KEY_SECRET,"
            " or remove both, then setup creates a key"
        ) from None
    finally:
        by_key.close()


def _choose(numbers: list[OwnedNumber], wanted: str | None) -> OwnedNumber:
    """The number to use: the wanted one, the only one, or the person's choice."""
    able = [number for number in numbers if number.voice]
    if wanted is not None:
        for number in able:
            if number.phone_number == wanted:
                return number
        raise CallreelError(
            f"the account has no phone number {wanted} for calls; it has {_listed(able) or 'none'}"
        )
    if not able:
        raise CallreelError("the account has no phone number for calls: buy one in the carrier's console")
    if len(able) == 1:
        return able[0]
    if not sys.stdin.isatty():
        raise SettingsError(
            f"the account has {len(able)} phone numbers, choose one with --number: {_listed(able)}"
        )
    for place, number in enumerate(able, 1):
        typer.echo(f"{place}  {number.phone_number}  {number.urls.voice_url or 'no voice URL'}")
    choice: int = typer.prompt("Number to use", type=int)
    if not 1 <= choice <= len(able):
        raise SettingsError(f"expected a choice from 1 to {len(able)}, got {choice}")
    return able[choice - 1]


def _listed(numbers: list[OwnedNumber]) -> str:
    return ", ".join(number.phone_number for number in numbers)


def _agreed(lines: list[str], *, yes: bool, dry_run: bool) -> bool:
    """Print the changes, and ask. Raises SettingsError without a terminal or an option."""
    typer.echo("Changes:")
    for line in lines:
        typer.echo(f"  {line}")
    if dry_run:
        report("nothing was changed (--dry-run)")
        return False
    if yes:
        return True
    if not sys.stdin.isatty():
        raise SettingsError("nothing was changed: confirm with --yes, since there is no terminal to ask")
    typer.confirm("Make these changes?", abort=True)
    return True
