import os
import time
from pathlib import Path

from callreel.runtime.shared_pause import LONGEST_S, SharedPause


def test_pause_is_shared_by_server_and_key(tmp_path: Path) -> None:
    SharedPause("there", "key", folder=tmp_path).begin(40)
    assert 0 < SharedPause("there", "key", folder=tmp_path).left_s <= 40
    assert SharedPause("there", "other", folder=tmp_path).left_s == 0


def test_shorter_pause_does_not_end_a_longer_one(tmp_path: Path) -> None:
    pause = SharedPause("there", folder=tmp_path)
    pause.begin(1e9)
    pause.begin(0.001)
    assert LONGEST_S / 2 < pause.left_s <= LONGEST_S


def test_pause_expires_and_without_one_nothing_waits(tmp_path: Path) -> None:
    pause = SharedPause("there", folder=tmp_path)
    pause.keep()
    pause.begin(0.05)
    pause.keep()
    assert pause.left_s == 0


def test_what_others_put_in_its_place_is_not_heeded_nor_followed(tmp_path: Path) -> None:
    pause = SharedPause("there", folder=tmp_path)
    pause.begin(0)
    (file,) = tmp_path.iterdir()
    far_s = time.time() + 1e6
    os.utime(file, (far_s, far_s))
    assert pause.left_s == 0, "a clock that was set back"
    file.unlink()
    target = tmp_path / "target"
    target.touch()
    before = target.stat().st_mtime_ns
    file.symlink_to(target)
    pause.begin(30)
    assert pause.left_s == 0 and target.stat().st_mtime_ns == before


def test_a_folder_that_is_not_there_means_no_pause(tmp_path: Path) -> None:
    pause = SharedPause("there", folder=tmp_path / "gone")
    pause.begin(30)
    assert pause.left_s == 0
