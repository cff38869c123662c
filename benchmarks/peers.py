"""Other servers under the same load, to compare within one run: a minimal one, and a peer's usual recipe.

Each is a separate program that gets a port and a folder, accepts the carrier's media streams without authentication, and
writes the audio into the folder, named after the stream.
"""

import hashlib
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.support.program import free_port

from benchmarks.server import REPOSITORY, Usage, usage

START_S = 120.0
PIPECAT = ("pipecat-ai[websocket]==1.14.0", "uvicorn==0.54.0")
"""The measured version of the peer and the server that its recipe names, installed into a separate environment."""


@dataclass(frozen=True, slots=True)
class Peer:
    """How to start a peer. `tracks`: how many of a call's two tracks it records."""

    name: str
    command: tuple[str, ...]
    tracks: int
    rates_hz: tuple[int, ...]


def bare() -> Peer:
    return Peer("bare", (sys.executable, "-m", "benchmarks.bare"), 2, (8_000, 16_000))


def pipecat() -> Peer:
    """Start the peer; the first start installs it, which takes minutes and some hundred MB."""
    python = _environment("pipecat", *PIPECAT)
    return Peer("pipecat", (str(python), str(REPOSITORY / "benchmarks/pipecat_recipe.py")), 1, (16_000,))


PEERS = {"bare": bare, "pipecat": pipecat}


class Running:
    """`with Running(peer, folder) as server:` starts the peer and waits until it listens."""

    def __init__(self, peer: Peer, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        with (folder / "peer.log").open("wb") as log:
            ours = (
                f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}" if peer.command[0] == sys.executable else ""
            )
            self._process = subprocess.Popen(
                [*peer.command, str(self.port), str(folder)],
                stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": ours}, cwd=folder,
            )  # fmt: skip

    def __enter__(self) -> Self:
        until_s = time.monotonic() + START_S
        while time.monotonic() < until_s and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                time.sleep(0.1)
        self.__exit__()
        raise RuntimeError(f"the peer did not start: {(self._folder / 'peer.log').read_text()[-2000:]}")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60)

    def usage(self) -> Usage:
        return usage(self._process.pid)


def _environment(name: str, *requirements: str) -> Path:
    """The Python of an environment in the user's cache folder that holds `requirements`; created on first use."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    which = hashlib.sha256(" ".join(requirements).encode()).hexdigest()[:8]
    folder = cache / "callreel-bench" / f"{name}-{which}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"installing {', '.join(requirements)} into {folder}, once", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *requirements], check=True)
        (folder / "ready").touch()
    return python
