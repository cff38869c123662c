"""The checks of `callreel doctor` on this machine."""

from pathlib import Path

import pytest

from callreel.cli.diagnose import checks
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
def test_incompatible_python_and_sqlite_versions_are_reported(
    python: tuple[int, int, int], sqlite: tuple[int, int, int], mark: Mark
) -> None:
    assert checks.check_versions(python, sqlite)[1].mark is mark


def test_folder_check_creates_nothing(tmp_path: Path) -> None:
    assert "writable" in checks.check_folder(tmp_path).found
    assert "will be created" in checks.check_folder(tmp_path / "a" / "b").found
    assert list(tmp_path.iterdir()) == []


def test_file_in_place_of_the_data_folder_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    finding = checks.check_folder(tmp_path / "file" / "data")
    assert finding.mark is Mark.BAD
    assert "CALLREEL_DATA_DIR" in finding.advice


def test_database_check_does_not_create_a_database(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert "does not exist yet" in checks.check_database(settings).found
    assert list(tmp_path.iterdir()) == []
    Database.open(settings.app_database_url).close()
    assert checks.check_database(settings).mark is Mark.OK


def test_corrupt_database_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "app.db").write_text("nothing like a database " * 99, encoding="utf-8")
    assert checks.check_database(Settings(data_dir=tmp_path)).mark is Mark.BAD


def test_credentials_are_named_but_not_shown() -> None:
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


def test_unusable_engine_is_a_failure() -> None:
    [finding] = checks.check_engine(Settings())
    assert (finding.mark, finding.what) == (Mark.OK, "engine faster-whisper")
    unknown = checks.check_engine(Settings(engine="python:no.such.module"))
    assert unknown[0].mark is Mark.BAD
