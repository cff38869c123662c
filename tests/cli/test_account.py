"""`callreel account` against the stand-in: set-up, a second run, the connection shown, and all of it undone."""

import asyncio
import os
import pty
import select
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from callreel.carrier_client.account import OwnedNumber, VoiceUrls
from callreel.cli.account import _choose
from callreel.domain.errors import CallreelError
from callreel.settings import load_settings
from callreel.simulator.account import Account
from callreel.simulator.carrier import CarrierConfig, SimulatedCarrier
from tests.support.program import callreel, environment, the_line

NUMBERS = ("+12025550123", "+14155550199")
FORMER = "https://former.example.com/voice"
PUBLIC = "https://calls.example.com"
TOKEN = "the-auth-token-of-this-test"


@asynccontextmanager
async def new_account(**options: Any) -> AsyncIterator[SimulatedCarrier]:
    """An account with two numbers and nothing else, as after registration."""
    account = Account(auth_token=TOKEN, api_key_sid=Account().sid)
    given = {"voice_url": FORMER, "application_sid": "", "numbers": NUMBERS} | options
    async with SimulatedCarrier(CarrierConfig(account=account, **given)) as carrier:
        yield carrier


def program(carrier: SimulatedCarrier, folder: Path) -> Any:
    """Runs the program beside the event loop that serves the carrier."""
    extra = {"CALLREEL_CARRIER_API_URL": carrier.api_url}

    async def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(callreel, *arguments, folder=folder, extra=extra, stdin=stdin)

    return run


async def test_setup_is_shown_made_repeated_and_undone(tmp_path: Path) -> None:
    file = tmp_path / "callreel.toml"
    file.write_text('# ours\nlog_level = "warning"\n', encoding="utf-8")
    async with new_account() as carrier:
        run, state = program(carrier, tmp_path), carrier.configuration
        options: tuple[str, ...] = (
            "account", "setup", "--account-sid", carrier.account.sid, "--public-url", PUBLIC,
            "--auth-token-stdin", "--number", NUMBERS[0],
        )  # fmt: skip
        shown = await run(*options, "--dry-run", stdin=TOKEN)
        assert shown.returncode == 0, shown.stderr
        for part in (
            "create API key “Callreel calls.example.com” (standard)",
            f"create TwiML app “Callreel calls.example.com” with voice URL {PUBLIC}/twilio/voice",
            f"number {NUMBERS[0]}: voice URL {FORMER} → {PUBLIC}/twilio/voice",
            f"number {NUMBERS[0]}: status callback URL not set → {PUBLIC}/twilio/call-status",
            "(mode 0600)",
        ):
            assert part in shown.stdout
        assert "nothing was changed: confirm with --yes" in the_line(await run(*options, stdin=TOKEN))
        assert (state.keys, state.apps) == ({}, {})

        made = await run(*options, "--yes", stdin=TOKEN)
        assert made.returncode == 0, made.stderr
        assert TOKEN not in made.stdout + made.stderr
        [key], [app] = state.keys.values(), state.apps.values()
        assert app.fields["voice_url"] == f"{PUBLIC}/twilio/voice"
        number = state.at_number(NUMBERS[0])
        assert number is not None
        assert number.fields["status_callback"] == f"{PUBLIC}/twilio/call-status"
        assert key.secret not in made.stdout + made.stderr
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_text(encoding="utf-8").endswith('# ours\nlog_level = "warning"\n')
        settings = load_settings(environ={}, cwd=tmp_path)
        assert settings.auth_token is not None and settings.auth_token.get_secret_value() == TOKEN
        assert settings.api_key_secret is not None
        assert settings.api_key_secret.get_secret_value() == key.secret
        assert (settings.twiml_app_sid, settings.caller_id) == (app.sid, NUMBERS[0])
        record = (tmp_path / "callreel.account-undo.json").read_text(encoding="utf-8")
        assert key.secret not in record and TOKEN not in record

        again = await run("account", "setup", "--yes")
        assert again.stdout == "callreel: nothing to change; check the connection with callreel doctor\n"
        facts = await run("account", "show")
        assert f"number voice url     {PUBLIC}/twilio/voice" in facts.stdout
        assert "25.00 USD" in facts.stdout
        assert TOKEN not in facts.stdout

        undone = await run("account", "remove", "--yes")
        assert undone.returncode == 0, undone.stderr
        assert (state.keys, state.apps) == ({}, {})
        assert (number.fields["voice_url"], number.fields["status_callback"]) == (FORMER, None)
        assert file.read_text(encoding="utf-8") == '# ours\nlog_level = "warning"\n'
        assert os.listdir(tmp_path) == ["callreel.toml"]


async def test_wrong_credentials_are_one_line(tmp_path: Path) -> None:
    async with new_account() as carrier:
        run = program(carrier, tmp_path)
        options = ("account", "setup", "--account-sid", carrier.account.sid, "--auth-token-stdin", "--yes")
        line = the_line(await run(*options, "--public-url", PUBLIC, stdin="invented"))
        assert line == "the carrier rejects these credentials (401): check the account SID and the auth token"
        assert os.listdir(tmp_path) == []


def converse(main: int, answers: dict[str, str]) -> str:
    """Answer each prompt as it appears; returns all that the terminal showed."""
    shown = b""
    for prompt, answer in answers.items():
        while prompt.encode() not in shown:
            assert select.select([main], [], [], 30)[0], shown
            shown += os.read(main, 1024)
        os.write(main, f"{answer}\n".encode())
    with suppress(OSError):  # a terminal without a program ends with an error
        while piece := os.read(main, 1024):
            shown += piece
    return shown.decode()


async def test_setup_prompts_at_a_terminal(tmp_path: Path) -> None:
    async with new_account() as carrier:
        main, terminal = pty.openpty()
        process = await asyncio.to_thread(
            subprocess.Popen, [sys.executable, "-m", "callreel.cli.main", "account", "setup"],
            cwd=tmp_path, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
            env=environment({"CALLREEL_CARRIER_API_URL": carrier.api_url}),
        )  # fmt: skip
        os.close(terminal)
        answers = {
            "Account SID: ": carrier.account.sid,
            "Auth token: ": TOKEN,
            "Public https address of this server: ": PUBLIC,
            "Number to use: ": "2",
            "Make these changes? [y/N]: ": "y",
        }
        try:
            shown = await asyncio.to_thread(converse, main, answers)
            assert await asyncio.to_thread(process.wait) == 0, shown
        finally:
            process.kill()
            os.close(main)
        assert f"2  {NUMBERS[1]}  {FORMER}" in shown
        assert TOKEN not in shown
        found = carrier.configuration.at_number(NUMBERS[1])
        assert found is not None and found.fields["voice_url"] == f"{PUBLIC}/twilio/voice"


def owned(number: str, *, voice: bool = True) -> OwnedNumber:
    return OwnedNumber("PN1", number, voice, VoiceUrls())


@pytest.mark.parametrize(
    ("numbers", "wanted", "message"),
    [
        ([], None, "buy one"),
        ([owned(NUMBERS[0], voice=False)], None, "buy one"),
        ([owned(NUMBERS[0])], NUMBERS[1], f"no phone number {NUMBERS[1]} for calls; it has {NUMBERS[0]}"),
        ([owned(NUMBERS[0]), owned(NUMBERS[1])], None, "has 2 phone numbers, choose one with --number"),
    ],
)
def test_unclear_number_is_an_error(numbers: list[OwnedNumber], wanted: str | None, message: str) -> None:
    with pytest.raises(CallreelError, match=message.replace("+", r"\+")):
        _choose(numbers, wanted)
