"""What the doctor finds on this machine."""

from pathlib import Path

import pytest

from callreel.cli import checks
from callreel.ops.diagnosis import Mark
from callreel.settings import Settings
from callreel.store.db.database import Database


@pytest.mark.parametrize(
    ("python", "sqlite", "mark"),
    [
        ((3, 11, 7), (3, 40, 1), Mark.WARN),
        ((3, 12, 0), (3, 40, 1), Mark.BAD),
        ((3, 12, 0), (3, 42, 0), Mark.WARN),
        ((3, 13, 0), (3, 51, 2), Mark.WARN),
        ((3, 13, 0), (3, 51, 3), Mark.OK),
        ((3, 13, 0), (3, 50, 7), Mark.OK),
        ((3, 13, 0), (3, 44, 6), Mark.OK),
        ((3, 13, 0), (3, 45, 0), Mark.WARN),
    ],
)
def test_python_and_sqlite_must_go_together(
    python: tuple[int, int, int], sqlite: tuple[int, int, int], mark: Mark
) -> None:
    assert checks.check_versions(python, sqlite)[1].mark is mark


def test_a_folder_that_can_be_written_is_well_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    assert "writable" in checks.check_folder(tmp_path).found
    assert "will be made" in checks.check_folder(tmp_path / "a" / "b").found
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_bad(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    finding = checks.check_folder(tmp_path / "file" / "data")
    assert finding.mark is Mark.BAD
    assert "CALLREEL_DATA_DIR" in finding.advice


def test_a_database_is_opened_but_not_made(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert "not there yet" in checks.check_database(settings).found
    assert list(tmp_path.iterdir()) == []
    Database.open(settings.app_database_url).close()
    assert checks.check_database(settings).mark is Mark.OK


def test_a_file_that_is_no_database_is_bad(tmp_path: Path) -> None:
    (tmp_path / "app.db").write_text("nothing like a database " * 99, encoding="utf-8")
    assert checks.check_database(Settings(data_dir=tmp_path)).mark is Mark.BAD


def test_credentials_are_named_and_never_shown() -> None:
    settings = Settings.model_validate(
        {"account_sid": "AC" + "12" * 16, "auth_token": "hush-hush", "caller_id": "+12025550123"}
    )
    lines = [finding.line for finding in checks.check_credentials(settings)]
    assert "✓ TWILIO_ACCOUNT_SID: AC…12" in lines
    assert "✓ TWILIO_AUTH_TOKEN: set" in lines
    assert not any("hush" in line or "5550123" in line for line in lines)
    marks = {finding.what: finding.mark for finding in checks.check_credentials(Settings())}
    assert marks["TWILIO_AUTH_TOKEN"] is Mark.BAD
    assert marks["TWILIO_TWIML_APP_SID"] is Mark.WARN


def test_the_engine_is_asked_what_it_can_do() -> None:
    [finding] = checks.check_engine(Settings())
    assert (finding.mark, finding.what) == (Mark.OK, "engine faster-whisper")
    unknown = checks.check_engine(Settings(engine="python:no.such.module"))
    assert unknown[0].mark is Mark.BAD
