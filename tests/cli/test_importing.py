"""`callreel import` as command lines."""

import asyncio
import os
from pathlib import Path

from tests.imports.history import history
from tests.imports.sound_files import two_channels, write_sound
from tests.support.installation import Installation
from tests.support.program import callreel, callreel_each, new_installation, the_line


def test_folder_is_imported_and_the_command_repeated(tmp_path: Path) -> None:
    settings = new_installation(tmp_path / "data")
    archive = tmp_path / "archive"
    write_sound(archive / "one.wav")
    write_sound(archive / "two.flac", two_channels(2))
    (archive / "calls.csv").write_text("file,agent\none.wav,maria\nnone.wav,maria\n")
    named = ("import", "folder", "archive", "--metadata", "archive/calls.csv")
    (dry, first, again, rest) = callreel_each(
        (*named, "--dry-run"), named, named, ("import", "folder", "archive"), folder=tmp_path, extra=settings
    )
    assert (
        dry[0] == 1 and "would be imported\tone.wav" in dry[1] and "1 recordings would be imported" in dry[1]
    )
    assert (
        first[0] == 1
        and "imported\tone.wav\t" in first[1]
        and "failed\tnone.wav\t\tcannot be opened" in first[1]
    )
    assert "1 sound files are not in calls.csv" in first[2]
    assert again[0] == 1 and "0 recordings imported, 1 already here, 1 failed" in again[1]
    assert rest[0] == 0 and "1 recordings imported, 1 already here, none failed" in rest[1]


def test_latin_1_name_is_printed_escaped(tmp_path: Path) -> None:
    settings = new_installation(tmp_path / "data")
    (tmp_path / "archive").mkdir()
    write_sound(tmp_path / "one.wav").rename(os.fsdecode(os.fsencode(tmp_path) + b"/archive/caf\xe9.wav"))
    run = callreel("import", "folder", "archive", folder=tmp_path, extra=settings)
    assert run.returncode == 0 and "imported\tcaf\\udce9.wav\t" in run.stdout, run.stderr


def test_bad_options_are_one_line(tmp_path: Path) -> None:
    settings = new_installation(tmp_path / "data")
    (tmp_path / "archive").mkdir()

    assert "TWILIO_ACCOUNT_SID" in the_line(
        callreel("import", "account", "--since", "2026-01-01", folder=tmp_path, extra=settings)
    )
    for since, until, message in (("soon", "", "--since"), ("2026-02-02", "2026-01-01", "on or before")):
        given = ("--since", since, *(("--until", until) if until else ()))
        assert message in the_line(callreel("import", "account", *given, folder=tmp_path, extra=settings))

    def line(*more: str, path: str = "archive") -> str:
        return the_line(callreel("import", "folder", path, *more, folder=tmp_path, extra=settings))

    assert "expected a folder" in line(path="nowhere")
    assert "time zone" in line("--zone", "Middle/Earth")
    assert "exclude each other" in line("--watch", "--dry-run")
    assert "cannot be read" in line("--metadata", "none.csv")
    assert "language" in line("--language", "klingon")


async def test_account_is_imported(tmp_path: Path, installation: Installation) -> None:
    async with history(installation, 2) as here:
        account = here.carrier.account
        settings = {
            **new_installation(tmp_path / "data"), "CALLREEL_CARRIER_API_URL": here.carrier.api_url,
            "TWILIO_ACCOUNT_SID": account.sid, "TWILIO_API_KEY_SID": account.api_key_sid,
            "TWILIO_API_KEY_SECRET": account.api_key_secret,
        }  # fmt: skip
        command = ("import", "account", "--since", "2026-11-01", "--until", "2026-11-02", "--delete-there")
        run = await asyncio.to_thread(callreel, *command, folder=tmp_path, extra=settings)
        assert (run.returncode, run.stdout.count("imported\tRE")) == (0, 2), run.stderr
        assert [one.status for one in here.state.recordings.values()] == ["deleted"] * 2
