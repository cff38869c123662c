"""`callreel demo` as a process: the call, its summary, its exit code, and no process left behind."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.voices import demo_arguments
from tests.support.program import callreel, environment, free_port, the_line


@pytest.mark.slow
def test_call_without_a_recording_has_exit_code_1(tmp_path: Path) -> None:
    run = callreel(*demo_arguments(tmp_path), "--fault", "absent", folder=tmp_path, timeout_s=110)
    assert run.returncode == 1, run.stderr
    assert "Verdict: " in run.stdout
    assert "Verdict: verified" not in run.stdout


@pytest.mark.slow
def test_stopped_demo_leaves_no_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "callreel.cli.main", *demo_arguments(tmp_path)]
    demo = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("on the call"):
            break
    demo.send_signal(signal.SIGTERM)
    _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert errors == "callreel: stopped\n"
    assert processes_of(tmp_path) == []


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes whose working folder is `folder` or below it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(process / "cwd")).is_relative_to(folder):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def test_server_that_cannot_start_is_reported_with_its_reason(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)):
        run = callreel(
            *demo_arguments(tmp_path),
            folder=tmp_path,
            extra={"CALLREEL_ENGINE": "python:no_such_engine"},
            timeout_s=60,
        )
    line = the_line(run)
    assert "the server exited unexpectedly (exit code 2)" in line
    assert "no_such_engine" in line
    assert processes_of(tmp_path) == []


def test_invalid_options_are_reported_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "talk.wav").write_text("not a sound", encoding="utf-8")
    assert "expected a WAV file" in the_line(callreel("demo", "--agent", "talk.wav", folder=tmp_path))
    assert "does not exist" in the_line(callreel("demo", "--technician", "none.wav", folder=tmp_path))
    assert "'zap'" in the_line(callreel("demo", "--fault", "zap", folder=tmp_path))
    assert "greater than or equal to 0.1" in the_line(callreel("demo", "--speed", "0", folder=tmp_path))
    (tmp_path / "file").write_text("", encoding="utf-8")
    line = the_line(callreel("demo", "--port", str(free_port()), "--data-dir", "file/data", folder=tmp_path))
    assert "cannot create the data folder" in line
    assert "--data-dir" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "talk.wav"]
