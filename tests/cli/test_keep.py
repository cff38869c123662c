"""`callreel backup`, `restore`, `check` and `reconcile` as a person types them."""

from pathlib import Path

from callreel.store.database import Database
from tests.cli.program import callreel


def installation(folder: Path) -> dict[str, str]:
    """A new one, without calls."""
    folder.mkdir()
    database = Database.open(str(folder / "app.db"))
    database.migrate()
    database.close()
    return {"CALLREEL_DATA_DIR": str(folder)}


def test_a_copy_is_made_checked_restored_and_checked_again(tmp_path: Path) -> None:
    settings = installation(tmp_path / "data")
    copy = str(tmp_path / "copy")
    assert callreel("backup", copy, folder=tmp_path, extra=settings).returncode == 0
    assert (
        "the backup is whole" in callreel("backup", "--verify", copy, folder=tmp_path, extra=settings).stdout
    )
    new = {"CALLREEL_DATA_DIR": str(tmp_path / "new")}
    assert callreel("restore", copy, folder=tmp_path, extra=new).returncode == 0
    checked = callreel("check", folder=tmp_path, extra=new)
    assert (checked.returncode, "all is well" in checked.stdout) == (0, True), checked.stdout
    again = callreel("restore", copy, folder=tmp_path, extra=new)
    assert again.returncode == 2 and "is not empty" in again.stderr


def test_a_stray_file_is_found(tmp_path: Path) -> None:
    settings = installation(tmp_path / "data")
    (tmp_path / "data/twilio_recordings").mkdir()
    (tmp_path / "data/twilio_recordings/stray.wav").touch()
    assert "unknown\ttwilio_recordings/stray.wav" in callreel("check", folder=tmp_path, extra=settings).stdout


def test_reconcile_without_credentials_says_which(tmp_path: Path) -> None:
    answer = callreel("reconcile", "--dry-run", folder=tmp_path, extra=installation(tmp_path / "data"))
    assert answer.returncode == 2 and "TWILIO_ACCOUNT_SID" in answer.stderr
