"""Changing a settings file in place: what stays, its mode, and files that are refused."""

from pathlib import Path

import pytest

from callreel.domain.errors import SettingsError
from callreel.settings.file import change_settings, require_writable, settings_path, texts_in

BEFORE = """# our server
"TWILIO_ACCOUNT_SID" = "AC1"  # the old one
dial_countries = [
    "US",
]

[object_store_options]
account_sid = "not the setting"
"""


def test_other_lines_and_comments_stay(tmp_path: Path) -> None:
    file = tmp_path / "callreel.toml"
    file.write_text(BEFORE, encoding="utf-8")
    file.chmod(0o644)
    change_settings(file, {"account_sid": "AC2", "auth_token": 'a"b\\c'})
    assert texts_in(file)["account_sid"] == "AC2"
    assert texts_in(file)["auth_token"] == 'a"b\\c'
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text(encoding="utf-8")
    assert text.startswith("auth_token = ")
    assert text.endswith(BEFORE.partition("\n")[2].partition("\n")[2])
    change_settings(file, {}, remove=["account_sid", "auth_token"])
    assert "AC2" not in file.read_text(encoding="utf-8")
    assert 'account_sid = "not the setting"' in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("before", "values", "remove"),
    [
        ('account_sid = """AC1\n"""\n', {"account_sid": "AC2"}, ()),
        ("dial_countries = [\n]\n", {}, ("dial_countries",)),
        ("= 1", {"account_sid": "AC2"}, ()),
        ("", {"auth_token": "two\nlines"}, ()),
    ],
)
def test_what_cannot_be_changed_is_refused_and_left(
    tmp_path: Path, before: str, values: dict[str, str], remove: tuple[str, ...]
) -> None:
    file = tmp_path / "callreel.toml"
    file.write_text(before, encoding="utf-8")
    with pytest.raises(SettingsError):
        change_settings(file, values, remove)
    assert file.read_text(encoding="utf-8") == before


def test_path_follows_the_environment(tmp_path: Path) -> None:
    assert settings_path({}, tmp_path) == tmp_path / "callreel.toml"
    assert settings_path({"CALLREEL_CONFIG": "etc/a.toml"}, tmp_path) == tmp_path / "etc/a.toml"


def test_file_behind_a_link_needs_the_folder_that_the_link_leads_to(tmp_path: Path) -> None:
    link, folder = tmp_path / "callreel.toml", tmp_path / "there"
    link.symlink_to(folder / "callreel.toml")
    with pytest.raises(SettingsError, match="cannot write the settings file"):
        require_writable(link)
    folder.mkdir()
    require_writable(link)
    change_settings(link, {"account_sid": "AC1"})
    assert link.is_symlink() and texts_in(folder / "callreel.toml") == {"account_sid": "AC1"}
