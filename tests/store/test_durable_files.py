import stat
from pathlib import Path

import pytest

from callreel.store.files.durable_files import make_folder


def test_parent_folders_are_created_private(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "one" / "two")
    for folder in ("one", "one/two"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700


def test_file_in_place_of_a_folder_raises(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        make_folder(tmp_path / "file")
