import stat
from pathlib import Path

import pytest

from callreel.store.files.durable_files import make_folder


def test_folders_are_made_all_the_way_for_us_alone(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "one" / "two")
    for folder in ("one", "one/two"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        make_folder(tmp_path / "file")
