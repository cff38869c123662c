"""The checks of `callreel doctor` on this machine: versions, folders, database, engine, language model, mail server, credentials."""

import os
import platform
import shutil
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from callreel.domain.errors import CallreelError
from callreel.ops.diagnosis import Finding, Mark
from callreel.runtime.loopback import is_loopback
from callreel.runtime.private_process import open_to_others
from callreel.settings import Settings, env_name

_GB = 1_000_000_000
LOW_SPACE_GB = 2.0
CARRIER_TIMEOUT_S = 10.0
# 60 s of a call: both live layers of two roles, the cloud recording and its two channels.
BYTES_A_MINUTE = 2 * 960_000 + 2 * 1_920_000 + 2 * 1_920_000

_CREDENTIALS = ("account_sid", "auth_token", "api_key_sid", "api_key_secret", "twiml_app_sid", "caller_id")
_NEEDED = ("account_sid", "auth_token", "caller_id")


def check_versions(
    python: tuple[int, int, int] = sys.version_info[:3],
    sqlite: tuple[int, int, int] = sqlite3.sqlite_version_info,
) -> list[Finding]:
    """Versions of Python and SQLite, with their known defects."""
    shown = ".".join(map(str, sqlite))
    found = [Finding(Mark.OK, "Python", f"{'.'.join(map(str, python))} on {platform.system()}")]
    if python >= (3, 12) and sqlite < (3, 42, 0):
        advice = "use Python 3.11, or SQLite 3.42 or newer: DBOS cannot start on this combination"
        return [*found, Finding(Mark.BAD, "SQLite", shown, advice)]
    if not _has_reset_fix(sqlite):
        advice = "these versions have a very rare write race that 3.51.3 fixes; back up the data folder"
        return [*found, Finding(Mark.WARN, "SQLite", shown, advice)]
    return [*found, Finding(Mark.OK, "SQLite", shown)]


def _has_reset_fix(version: tuple[int, int, int]) -> bool:
    """Whether SQLite's WAL-reset race is fixed: from 3.51.3 on, and in the two branches with a backport."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51, 0) or (3, 44, 6) <= version < (3, 45, 0)


def check_folder(folder: Path) -> Finding:
    """Whether the folder is writable and private, and how many hours of calls fit. Creates nothing."""
    what = f"data folder {folder}"
    nearest = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return Finding(
            Mark.BAD,
            what,
            f"{nearest} is not writable",
            "grant this user write access or set CALLREEL_DATA_DIR",
        )
    if open_to_others(folder):
        return Finding(Mark.WARN, what, "other users of this machine may enter it", f"chmod 700 {folder}")
    free = shutil.disk_usage(nearest).free
    hours = free / BYTES_A_MINUTE / 60
    found = f"{'writable' if folder.exists() else 'will be created'}, {free / _GB:.1f} GB free, about {hours:.0f} hours of calls"
    if free < LOW_SPACE_GB * _GB:
        return Finding(Mark.WARN, what, found, "free some space or set CALLREEL_DATA_DIR to a larger disk")
    return Finding(Mark.OK, what, found)


def check_database(settings: Settings) -> Finding:
    """Whether the database opens and passes SQLite's quick check. Does not create a missing file."""
    from callreel.store.db.database import Database

    url = settings.app_database_url
    path = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None
    what = "database" if path is None else f"database {path}"
    if path is not None and not path.exists():
        return Finding(Mark.OK, what, "does not exist yet; callreel serve creates it")
    try:
        database = Database.open(url, busy_timeout_s=5)
        try:
            database.quick_check()
        finally:
            database.close()
    except CallreelError as error:
        return Finding(Mark.BAD, what, str(error), "check CALLREEL_DATABASE_URL, or restore a backup")
    return Finding(Mark.OK, what, "opens and passes its check")


def check_language_model(settings: Settings) -> list[Finding]:
    """Whether the server of the language model answers and offers the model; nothing without one."""
    from callreel.app.analysing import language_model_fault

    if settings.language_model_url is None:
        return []
    what = f"language model {settings.language_model}"
    fault = language_model_fault(settings)
    if fault is not None:
        return [
            Finding(Mark.WARN, what, fault, "see docs/language-model.md; calls are recorded all the same")
        ]
    where = "on this machine" if settings.language_model_is_here else "sends text to another machine"
    return [Finding(Mark.OK, what, f"its server answers, {where}")]


def check_mail(settings: Settings) -> list[Finding]:
    """Whether the mail server accepts the sign-in, the sender and each recipient, without a mail; nothing without one."""
    from callreel.app.mail import refused_recipients, report_mail_options

    options = report_mail_options(settings)
    if options is None:
        return []
    what, advice = f"mail server {options.access.host}", "see docs/operations.md, Weekly report by mail"
    try:
        refused = refused_recipients(options)
    except CallreelError as error:
        return [Finding(Mark.WARN, what, str(error), advice)]
    found = [Finding(Mark.WARN, what, f"{recipient}: {why}", advice) for recipient, why in refused.items()]
    accepted = len(options.recipients) - len(refused)
    return [
        *found,
        Finding(Mark.OK, what, f"answers, accepts {accepted} of {len(options.recipients)} recipients"),
    ]


def check_credentials(settings: Settings) -> list[Finding]:
    """Which of the carrier's credentials are set. Secrets are not shown, ids only in part."""
    missing = [name for name in _CREDENTIALS if getattr(settings, name) is None]
    found = [
        Finding(Mark.OK, env_name(name), _masked(settings, name))
        for name in _CREDENTIALS
        if name not in missing
    ]
    for name in missing:
        mark = Mark.BAD if name in _NEEDED else Mark.WARN
        found.append(Finding(mark, env_name(name), "not set", _REMEDIES[name]))
    return found


def check_account(settings: Settings, timeout_s: float = CARRIER_TIMEOUT_S) -> list[Finding]:
    """Ask the carrier whether it accepts the credentials, and whether number and TwiML app lead to this server."""
    from callreel.app.carrier import account_access, carrier_access
    from callreel.ops.account_check import AccountSettings
    from callreel.ops.account_check import check_account as ask

    if settings.account_sid is None:
        return []
    token, key = settings.auth_token, settings.api_key_secret
    by_token, by_key = (
        replace(access(settings), timeout_s=timeout_s) for access in (account_access, carrier_access)
    )
    # The stand-in carrier on this machine reaches what the real one cannot.
    stand_in = is_loopback(urlsplit(settings.carrier_api_url).hostname)
    local = is_loopback(urlsplit(settings.public_url).hostname) and not stand_in
    return ask(
        AccountSettings(
            by_token=by_token if token is not None else None,
            by_key=by_key if key is not None else None,
            public_url=settings.public_url,
            public_url_is_local=local,
            app_sid=settings.twiml_app_sid,
            number=settings.caller_id,
        )
    )


_REMEDIES = {
    "account_sid": "run callreel account setup, or copy the account SID from the carrier's console",
    "auth_token": "copy the auth token from the carrier's console: webhooks cannot be validated without it",
    "api_key_sid": "run callreel account setup, which creates an API key: browsers cannot call without it",
    "api_key_secret": "the console showed it once, when the API key was created; create another key if it is lost",
    "twiml_app_sid": "run callreel account setup, which creates the TwiML app: browsers cannot call without it",
    "caller_id": "set it to your number at the carrier, such as +15551234567",
}


def _masked(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    if not isinstance(value, str):
        return "set"
    return f"{value[:2]}…{value[-2:]}"


def check_engine(settings: Settings) -> list[Finding]:
    """Whether the live and the final engine are usable on this machine."""
    from callreel.asr.engines.survey import Purpose, survey
    from callreel.settings.engines import engine_for

    found: dict[str, Finding] = {}
    for purpose in Purpose:
        try:
            one = survey(engine_for(settings, purpose).choice)
        except CallreelError as error:
            found[""] = Finding(Mark.BAD, "engine", str(error), "see docs/settings.md, CALLREEL_ENGINE")
            continue
        capabilities = one.capabilities
        if one.missing:
            advice = (
                "or let the server download it at startup"
                if one.to_fetch
                else "see docs/settings.md, CALLREEL_ENGINE"
            )
            mark = Mark.WARN if one.to_fetch else Mark.BAD
            found[one.name] = Finding(mark, f"engine {one.name}", one.missing, advice)
            continue
        where = "on this machine" if capabilities.runs_here else "sends audio to another machine"
        found[one.name] = Finding(Mark.OK, f"engine {one.name}", f"{capabilities.model}, {where}")
    return list(found.values())
