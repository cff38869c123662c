import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.postgres import PostgresServer

REPO = Path(__file__).parents[2]


def run_program(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=60)


def test_queued_work_starts_at_once_and_finished_work_can_be_deleted(tmp_path: Path) -> None:
    """Without polling: whatever is queued, retried or waits for another's end. What is deleted can be started again."""
    ended = run_program("tests.support.signalled_work", tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "seldom 2\ndeleted 7 0\n"), ended.stderr


def test_work_that_its_own_process_lost_or_the_library_gave_up_runs_again(tmp_path: Path) -> None:
    """The library takes what it could not start for running for as long as the process lives."""
    ended = run_program("tests.support.lost_work", tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "recovered 2 first look 0 left 0\n", (
        "never at the first look, which may be too early"
    )
    assert (tmp_path / "a-key").read_text() == "3", "a failed workflow is tried again"
    assert (tmp_path / "b-key").read_text() == "again"


def run(mode: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return run_program("tests.support.durable_process", mode, folder, *more)


def test_work_of_a_dead_process_is_finished_by_another(tmp_path: Path) -> None:
    check_takeover(tmp_path)


def test_the_same_on_postgresql(tmp_path: Path, store_server: PostgresServer) -> None:
    check_takeover(tmp_path, store_server.new_url())


def check_takeover(tmp_path: Path, *database_url: str) -> None:
    died = run("begin", tmp_path, *database_url)
    assert died.returncode == 9, died.stderr
    assert (tmp_path / "steps.log").read_text().split("\n") == ["begin one", "done one", "begin two", ""]
    finished = run("recover", tmp_path, *database_url)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split("\n") == ["before 1", "alive 0", "recovered 1", "left 0", ""]
    lines = (tmp_path / "steps.log").read_text().splitlines()
    assert lines.count("begin one") == 1, "a step that was done is not done again"
    assert lines[3:] == ["begin two", "done two", "begin three", "done three"]
    assert (tmp_path / "sum").read_text() == "a-key 11", "results of finished steps are remembered"


@pytest.mark.parametrize(
    ("mode", "said"), [("soon", "workflows stopped"), ("late", "at the next start: two")]
)
def test_a_stop_in_the_middle_of_a_step_says_so_in_one_line_and_nothing_is_taken_for_failed(
    tmp_path: Path, mode: str, said: str
) -> None:
    stopped = run(mode, tmp_path)
    assert (stopped.returncode, stopped.stdout) == (0, "runs 0\n"), stopped.stderr
    assert [line for line in stopped.stderr.splitlines() if "workflows stopped" in line and said in line]
    assert "Traceback" not in stopped.stderr and "No DBOS" not in stopped.stderr, stopped.stderr
    finished = run("recover", tmp_path)
    assert finished.stdout.split("\n") == ["before 1", "alive 0", "recovered 1", "left 0", ""], (
        finished.stderr
    )
    lines = (tmp_path / "steps.log").read_text().splitlines()
    assert lines.count("begin two") == (1 if mode == "soon" else 2), (
        "a step that ended in time is not done again"
    )
    assert lines.count("begin three") == 1, "nothing begins while the process closes"
    assert (tmp_path / "sum").read_text() == "a-key 11" and not (tmp_path / "parked").exists()
