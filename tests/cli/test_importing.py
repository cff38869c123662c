"""`callreel import` as command lines."""

from pathlib import Path

from tests.cli.test_keep import new_installation
from tests.imports.sound_files import two_channels, write_sound
from tests.support.program import callreel, callreel_each, the_line


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


def test_bad_options_are_one_line(tmp_path: Path) -> None:
    settings = new_installation(tmp_path / "data")
    (tmp_path / "archive").mkdir()

    def line(*more: str, path: str = "archive") -> str:
        return the_line(callreel("import", "folder", path, *more, folder=tmp_path, extra=settings))

    assert "expected a folder" in line(path="nowhere")
    assert "time zone" in line("--zone", "Middle/Earth")
    assert "cannot be read" in line("--metadata", "none.csv")
    assert "language" in line("--language", "klingon")
