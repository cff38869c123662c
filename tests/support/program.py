"""Runs the program as a separate process, without the settings of this environment."""

import itertools
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from callreel.settings import Settings, env_names
from tests.support import preloaded
from tests.support.installation import write_migrated


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
    return run(arguments, environment(extra), folder, stdin=stdin, timeout_s=timeout_s)


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    *,
    stdin: str = "",
    timeout_s: float = 60,
) -> subprocess.CompletedProcess[str]:
    """The same with exactly this environment."""
    with TemporaryDirectory() as streams:
        given, output, errors = (Path(streams, name) for name in ("stdin", "stdout", "stderr"))
        given.write_text(stdin)
        process = preloaded.start(arguments, environment, folder, output, errors, given)
        try:
            status = process.wait(timeout_s)
        except BaseException:
            process.kill()
            raise
        return subprocess.CompletedProcess(
            ["callreel", *arguments], status, output.read_text(), errors.read_text()
        )


def new_installation(folder: Path) -> dict[str, str]:
    """A new installation without calls."""
    folder.mkdir()
    write_migrated(folder / "app.db")
    return {"CALLREEL_DATA_DIR": str(folder)}


_PORTS = 1_500
"""How many each test process has. All are below those that outgoing connections get, 32768 and above."""
_numbers = itertools.count(os.getpid())


def free_port() -> int:
    """A free port of loopback. A server may take it seconds later: no connection and no other test gets it meanwhile."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    for number in itertools.islice(_numbers, _PORTS):
        port = 20_000 + process * _PORTS + number % _PORTS
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise RuntimeError("no port is free for the tests")


def the_line(run: subprocess.CompletedProcess[str]) -> str:
    """The single error line of a failed run."""
    assert run.returncode == 2, run.stderr
    assert run.stderr.startswith("callreel: ")
    assert run.stderr.count("\n") == 1, run.stderr
    return run.stderr.removeprefix("callreel: ").rstrip("\n")


def callreel_each(
    *commands: Sequence[str], folder: Path, extra: Mapping[str, str] | None = None
) -> list[tuple[int, str, str]]:
    """Run commands one after the other: their exit code, output and error output."""
    runs = [callreel(*command, folder=folder, extra=extra) for command in commands]
    return [(run.returncode, run.stdout, run.stderr) for run in runs]
