"""The child server is always stopped, and an unexpected exit is reported with its reason."""

import os
import signal
from pathlib import Path

import pytest

from callreel.demo.server_process import ServerDiedError, ServerProcess
from tests.support.program import environment


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def process(folder: Path, *arguments: str, **extra: str) -> ServerProcess:
    return ServerProcess(arguments, environment(extra), folder, folder / "server.log")


def test_unexpected_exit_is_reported_with_the_last_line(tmp_path: Path) -> None:
    with process(tmp_path, "serve", CALLREEL_PORT="none") as server:
        os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(
            ServerDiedError, match=r"exit code 2.*CALLREEL_PORT \(environment\) should be a valid integer"
        ):
            server.check_alive()


def test_child_and_its_process_group_are_stopped_on_exit(tmp_path: Path) -> None:
    with process(tmp_path, "serve", CALLREEL_PORT="0") as server:
        server.check_alive()
        pid = server.pid
        assert alive(pid)
    assert not alive(pid)
    server.stop()


def test_killed_child_is_reported_with_its_signal(tmp_path: Path) -> None:
    with process(tmp_path, "serve") as server:
        os.kill(server.pid, signal.SIGKILL)
        os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(ServerDiedError, match="signal 9"):
            server.check_alive()
