"""Runs the program as a separate process, without the settings of this environment."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from callreel.settings import Settings, env_names


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This environment without any Callreel setting, plus `extra`."""
    ours = {name for field in Settings.model_fields for name in env_names(field)} | {
        "CALLREEL_CONFIG",
        "CALLREEL_DEBUG",
    }
    plain = {name: value for name, value in os.environ.items() if name not in ours}
    return {**plain, "COLUMNS": "200", **(extra or {})}


def callreel(
    *arguments: str,
    folder: Path,
    extra: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout_s: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run the program in `folder` until it exits."""
    return subprocess.run(
        [sys.executable, "-m", "callreel.cli.main", *arguments],
        cwd=folder,
        env=environment(extra),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def free_port() -> int:
    """A free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def the_line(run: subprocess.CompletedProcess[str]) -> str:
    """The single error line of a failed run."""
    assert run.returncode == 2, run.stderr
    assert run.stderr.startswith("callreel: ")
    assert run.stderr.count("\n") == 1, run.stderr
    return run.stderr.removeprefix("callreel: ").rstrip("\n")


def callreel_each(
    *commands: Sequence[str], folder: Path, extra: Mapping[str, str] | None = None
) -> list[tuple[int, str, str]]:
    """Run commands one after the other in one process, which saves the start of each: their exit code and output."""
    run = subprocess.run(
        [sys.executable, "-c", _EACH, json.dumps(commands)],
        cwd=folder,
        env=environment(extra),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    return [(code, out, err) for code, out, err in json.loads(run.stdout)]


_EACH = """
import contextlib, io, json, sys
from callreel.cli.main import main
ran = []
for command in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(command)
    ran.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(ran))
"""
