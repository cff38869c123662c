import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from callreel.cluster.process_lock import KEEP_S, ProcessLock
from callreel.domain.errors import StoreError

_HOLD = """
import sys
from pathlib import Path
from callreel.cluster.process_lock import ProcessLock
lock = ProcessLock(Path(sys.argv[1]))
print(lock.enter(sys.argv[2]), flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(folder: Path, name: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds `name` until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "True\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_names_of_this_process_are_alive_until_it_leaves(tmp_path: Path) -> None:
    folder = tmp_path / "processes"
    lock = ProcessLock(folder)
    assert lock.enter("one") and lock.enter("two")
    assert lock.alive() == {"one", "two"}
    assert ProcessLock(folder).alive() == {"one", "two"}, "another look within the same machine"
    lock.leave()
    assert ProcessLock(folder).alive() == set() and list(folder.iterdir()) == []


def test_name_is_held_by_one(tmp_path: Path) -> None:
    first, second = ProcessLock(tmp_path), ProcessLock(tmp_path)
    assert first.enter("one")
    assert not second.enter("one")
    first.leave()
    assert second.enter("one")
    second.leave()


def test_second_server_is_refused_with_what_to_do(tmp_path: Path) -> None:
    first = ProcessLock(tmp_path / "processes")
    first.enter_as_server()
    with pytest.raises(StoreError, match="another callreel serve runs .* CALLREEL_DATA_DIR"):
        ProcessLock(tmp_path / "processes").enter_as_server()
    first.leave()
    again = ProcessLock(tmp_path / "processes")
    again.enter_as_server()
    again.leave()


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    lock = ProcessLock(tmp_path)
    with another_process(tmp_path, "worker-1") as process:
        assert lock.alive() == {"worker-1"}
        assert not lock.enter("worker-1")
        process.kill()
        process.wait()
        assert lock.alive() == set()
        assert lock.dead() == {"worker-1"}
        assert lock.enter("worker-1")
        assert lock.dead() == set()
    lock.leave()


def test_lock_of_a_dead_process_is_removed_after_a_day(tmp_path: Path) -> None:
    lock = ProcessLock(tmp_path)
    lock.enter("one")
    lock.leave()
    assert lock.dead() == set()
    lock_file = tmp_path / "worker-1.lock"
    lock_file.touch()
    assert lock.dead() == {"worker-1"} == lock.dead()
    os.utime(lock_file, (0, time.time() - KEEP_S - 1))
    assert lock.dead() == {"worker-1"}
    assert lock.dead() == set() and not lock_file.exists()


def test_lock_that_vanishes_during_the_look_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes clean up at once: the other was faster."""
    (tmp_path / "dead.lock").touch()
    opened = os.open

    def faster(path: Path, *arguments: int) -> int:
        Path(path).unlink()
        return opened(path, *arguments)

    monkeypatch.setattr("callreel.cluster.process_lock.os.open", faster)
    assert ProcessLock(tmp_path).alive() == set()


def test_folder_is_readable_by_this_user_only(tmp_path: Path) -> None:
    lock = ProcessLock(tmp_path / "a" / "processes")
    lock.enter("one")
    assert (tmp_path / "a" / "processes").stat().st_mode & 0o077 == 0
    assert (tmp_path / "a" / "processes" / "one.lock").stat().st_mode & 0o077 == 0
    lock.leave()
