"""Starts the program in a process that has imported it already.

Importing takes seconds of processor time, and the tests start the program hundreds of times. One template process for each
test process imports the program once; each start is a fork of it, which runs `python -m callreel` from there. What the fork
does not share with a fresh process: `/proc/<pid>/cmdline` is the template's, and `LD_PRELOAD` has no effect.
"""

import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from callreel.runtime.outgoing import tls_context

REPOSITORY = Path(__file__).parents[2]
IMPORTED = (
    "callreel.app.server",
    "callreel.cli.main",
    "callreel.cli.serve",
    "callreel.store.db.migrations",
    "dbos._sys_db_sqlite",
    "httpcore2",
    "uvicorn.lifespan.off",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
)
"""What a server imports, also that which it imports late."""


class Process(Protocol):
    """What `subprocess.Popen` and `Preloaded` have in common."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Preloaded:
    """A started program. Its exit status is asked of the template, whose child it is."""

    def __init__(self, template: "_Template", pid: int) -> None:
        self._template = template
        self._pid = pid
        self._ended = os.pidfd_open(pid)
        self._status: int | None = None

    @property
    def pid(self) -> int:
        return self._pid

    def poll(self) -> int | None:
        if self._status is None and select.select([self._ended], [], [], 0)[0]:
            os.close(self._ended)
            self._status = self._template.ask({"wait": self._pid})
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """As `subprocess.Popen.wait`."""
        if self._status is None and not select.select([self._ended], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(f"callreel, process {self._pid}", timeout or 0)
        status = self.poll()
        assert status is not None
        return status

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self._pid, number)


class _Template:
    """The template process and our end of its socket."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            path = os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY)])
            subprocess.Popen(
                [sys.executable, "-m", "tests.support.preloaded", str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": path},
            )  # fmt: skip
        self._lines = ours.makefile("rw")
        self._lock = threading.Lock()

    def ask(self, request: Mapping[str, object]) -> int:
        with self._lock:
            self._lines.write(json.dumps(request) + "\n")
            self._lines.flush()
            return int(self._lines.readline())


@functools.cache
def _template() -> _Template:
    return _Template()


def start(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    output: Path,
    errors: Path | None = None,
    stdin: Path = Path(os.devnull),
) -> Preloaded:
    """Run `python -m callreel` with `arguments`; its output is added to `output`, and what it prints as errors to `errors`."""
    request = {
        "arguments": list(arguments),
        "environment": dict(environment),
        "folder": str(folder),
        "streams": [str(stdin), str(output), str(errors or output)],
    }
    template = _template()
    return Preloaded(template, template.ask(request))


def _serve(connection: socket.socket) -> list[str]:
    """Answer requests; returns in each child, with the arguments of the program. Ends with the test process."""
    with connection.makefile("rw") as lines:
        for line in lines:
            request = json.loads(line)
            if "wait" in request:
                _, status = os.waitpid(request["wait"], 0)
                answer = os.waitstatus_to_exitcode(status)
            else:
                answer = os.fork()
                if not answer:
                    _become(request)
                    return [str(one) for one in request["arguments"]]
            lines.write(f"{answer}\n")
            lines.flush()
    os._exit(0)


def _become(request: Mapping[str, object]) -> None:
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    time.tzset()
    os.chdir(str(request["folder"]))
    for number, path in enumerate(request["streams"]):  # type: ignore[arg-type, var-annotated]
        opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT if number else os.O_RDONLY, 0o600)
        os.dup2(opened, number)
        os.close(opened)


def main() -> None:
    for module in IMPORTED:
        importlib.import_module(module)
    tls_context()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        arguments = _serve(connection)
    sys.argv = ["callreel", *arguments]
    runpy.run_module("callreel", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
