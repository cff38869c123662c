"""Runs `callreel serve` as a child process that is always stopped.

Its output goes to a file, so that it never blocks and its last line can be shown if it exits unexpectedly.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from callreel.domain.errors import CallreelError

STOP_TIMEOUT_S = 10.0


class ServerDiedError(CallreelError):
    """The server exited unexpectedly; the message contains its last line."""


class ServerProcess:
    """A context manager; on exit it stops the child with SIGTERM and, after a timeout, SIGKILL."""

    def __init__(
        self, arguments: Sequence[str], environ: Mapping[str, str], folder: Path, log_path: Path
    ) -> None:
        self._arguments = [sys.executable, "-m", "callreel.cli.main", *arguments]
        self._environ = dict(environ)
        self._folder = folder
        self.log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "ServerProcess":
        log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            # Its own process group: Ctrl-C in the terminal reaches only this process, which then stops the server.
            self._process = subprocess.Popen(
                self._arguments,
                env=self._environ,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        finally:
            os.close(log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def check_alive(self) -> None:
        """Raise ServerDiedError with its last line if the server is no longer running."""
        assert self._process is not None
        code = self._process.poll()
        if code is not None:
            raise ServerDiedError(f"the server exited unexpectedly ({_ending(code)}): {self.last_line()}")

    def last_line(self) -> str:
        """The last line of its output, preferring error lines, without their prefix."""
        text = self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        own = [line for line in lines if line.startswith("callreel: ")]
        if not lines:
            return "no output"
        return (own or lines)[-1].removeprefix("callreel: ")

    def stop(self) -> None:
        """Stop the child and its children. May be called again."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                pass
        self._kill_group(process)
        process.wait()

    @staticmethod
    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        """Engine processes may outlive a crashed server; they are in its process group."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
