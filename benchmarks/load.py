"""The load generator: compiles `load.c` when it changed, runs it and reads its report."""

import hashlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.server import Usage

SOURCE = Path(__file__).with_suffix(".c")
FRAME = 160
POOL_FRAMES = 1_009
"""A prime, so that no two calls are in phase."""


@dataclass(frozen=True, slots=True)
class Call:
    """The parameters of one media stream."""

    leg_sid: str
    stream_sid: str
    token: str


@dataclass(frozen=True, slots=True)
class LoadResult:
    """`begin` and `end` delimit the time in which all calls are in progress: server CPU, messages sent, time.

    `start` is from before the first call.
    """

    start: tuple[Usage, int, float]
    begin: tuple[Usage, int, float]
    end: tuple[Usage, int, float]
    messages: int
    refused: int
    cut: int
    generator_cpu_share: float
    """The share of one core, over the whole run."""
    late_ms: npt.NDArray[np.float64]
    """How late the generator itself was, for a sample of frames."""
    trip_ms: npt.NDArray[np.float64]
    """From a ping after a frame to its pong: the server has read everything sent before."""


def pool() -> npt.NDArray[np.uint8]:
    """The audio of all calls [frames, 160], mu-law. Without 0x7F, the negative zero, which a decoder does not preserve."""
    codes = np.random.default_rng(8).integers(0, 255, (POOL_FRAMES, FRAME), dtype=np.uint8)
    codes[codes == 0x7F] = 0xFF
    return codes


def sent_audio(index: int, track: int, frames: int) -> npt.NDArray[np.uint8]:
    """The audio that `load.c` sends for call `index`; track 0 is inbound."""
    rows = (31 * index + 7 * track + np.arange(frames)) % POOL_FRAMES
    audio: npt.NDArray[np.uint8] = pool()[rows].ravel()
    return audio


def program() -> Path:
    """The path of the compiled generator. Needs a C compiler."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    made = Path(tempfile.gettempdir()) / f"callreel-load-{os.getuid()}-{digest}"
    if not made.exists():
        subprocess.run(["cc", "-O2", "-o", made, SOURCE], check=True)
    return made


def run(
    port: int,
    signature: str,
    calls: list[Call],
    usage: Callable[[], Usage],
    *,
    seconds: int,
    calls_a_second: float,
    mode: str,
    before_closing: Callable[[], None] = lambda: None,
) -> LoadResult:
    """Send both tracks of every call for `seconds`. `mode` is pair, apart or flood (see `load.c`)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pool").write_bytes(pool().tobytes())
        (folder / "calls").write_text("".join(f"{c.leg_sid} {c.stream_sid} {c.token}\n" for c in calls))
        numbers = (str(seconds), str(calls_a_second), mode)
        command = [
            str(program()),
            str(port),
            signature,
            str(folder / "calls"),
            str(folder / "pool"),
            *numbers,
        ]
        start = usage(), 0, time.monotonic()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said: dict[str, str] = {}
            marks: dict[str, tuple[Usage, float]] = {}
            for line in process.stdout:
                name, _, value = line.strip().partition(" ")
                said[name] = value
                marks[name] = (usage(), time.monotonic())
                if name == "trip_us":
                    break
            before_closing()
            process.communicate("\n", timeout=30)

    def mark(name: str) -> tuple[Usage, int, float]:
        return marks[name][0], int(said[name]), marks[name][1]

    return LoadResult(
        start, mark("begin"), mark("end"), int(said["sent"]), int(said["refused"]), int(said["lost"]),
        int(said["cpu_us"]) / int(said["took_us"]), _ms(said["late_us"]), _ms(said["trip_us"]),
    )  # fmt: skip


def _ms(text: str) -> npt.NDArray[np.float64]:
    return np.array(text.split(), np.float64) / 1000
