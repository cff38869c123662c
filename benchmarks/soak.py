"""A long call and a day of calls in fast motion: does anything grow that should not?

    python -m benchmarks.soak --hours 8 --calls 480 [--json]

First, one call of `--hours` is sent as fast as the server accepts it: by the stream's clock its layers are as long as in real
time and hold 96 kB per second. Then follow `--calls` short calls, some at a time, as in a day of 20 per hour. The kernel reports
the memory, descriptors and threads of the server's processes. Growth is the slope over the last two thirds, since the first
calls of a process fill its caches. Leaks that depend on elapsed time are not visible here.
"""

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks import load
from benchmarks.server import Server, machine, open_files, threads
from callreel.domain.ids import LegSid

SHORT_S = 2
AT_ONCE = 20
LOOKS = 10
ENDED_S = 600.0
BYTES_AN_HOUR = 3600 * 16_000


@dataclass(frozen=True, slots=True)
class Look:
    """A sample over all processes of the server. `done`: hours of the long call, or number of short calls."""

    done: float
    memory_kb: int
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Growth:
    """Slopes per hour of a call, or per call."""

    memory_kb: float
    descriptors: float
    threads: float


def look(server: Server, done: float) -> Look:
    return Look(done, server.usage().memory_kb, open_files(server.pid), threads(server.pid))


def growth(looks: list[Look]) -> Growth:
    """Least squares over the last two thirds."""
    settled = looks[len(looks) // 3 :]
    at = np.array([seen.done for seen in settled])

    def slope(of: Callable[[Look], float]) -> float:
        return round(float(np.polyfit(at, [of(seen) for seen in settled], 1)[0]), 3)

    return Growth(
        slope(lambda seen: seen.memory_kb),
        slope(lambda seen: seen.descriptors),
        slope(lambda seen: seen.threads),
    )


def until_ended(server: Server) -> None:
    deadline = time.monotonic() + ENDED_S
    while time.monotonic() < deadline:
        listed = server.client.get("/api/v1/calls", params={"state": "live"}).json()["calls"]
        if not any(call["state"] == "live" for call in listed):
            return
        time.sleep(0.2)
    raise RuntimeError("calls did not end")


def flood(server: Server, legs: list[int], seconds: int) -> None:
    """Calls of the given duration, sent as fast as the server accepts them, until they have ended."""
    calls = [
        load.Call(f"CA{leg:032x}", f"MZ{leg:032x}", server.new_call(LegSid(f"CA{leg:032x}"))) for leg in legs
    ]
    load.run(
        server.port, server.signature, calls, server.usage,
        seconds=seconds, calls_a_second=100, mode="flood", before_closing=lambda: until_ended(server),
    )  # fmt: skip


def long_call(server: Server, hours: float) -> list[Look]:
    """One call, sampled twice a second; the size of its layers shows its progress."""
    looks: list[Look] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            files = (server.data_dir / "audio_recordings").glob("*_8000Hz.wav")
            size_bytes = max((path.stat().st_size for path in files), default=0)
            looks.append(look(server, size_bytes / BYTES_AN_HOUR))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        flood(server, [1], round(hours * 3600))
    finally:
        over.set()
        watching.join()
    return looks


def short_calls(server: Server, count: int) -> list[Look]:
    looks: list[Look] = []
    for first in range(0, count, max(AT_ONCE, count // LOOKS)):
        batch = range(first, min(count, first + max(AT_ONCE, count // LOOKS)))
        for at in range(0, len(batch), AT_ONCE):
            legs = [1_000 + leg for leg in batch[at : at + AT_ONCE]]
            flood(server, legs, SHORT_S)
        looks.append(look(server, batch[-1] + 1))
    return looks


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure growth over a long call and a day of calls.")
    parser.add_argument(
        "--hours", type=float, default=8, help="duration of the long call; needs 350 MB of disk per hour"
    )
    parser.add_argument("--calls", type=int, default=480, help="short calls: 20 per hour for a day")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="callreel-soak-") as name:
        with Server(Path(name), {"CALLREEL_LIVE_TRANSCRIPT": "false"}) as server:
            before = look(server, 0)
            hours = long_call(server, given.hours)
            calls = short_calls(server, given.calls)
            after = look(server, given.calls)
            stray = stray_files(server.data_dir, given.calls + 1)
    report: dict[str, object] = {
        "machine": machine(),
        "before": asdict(before),
        "after": asdict(after),
        "long_call": {"hours": given.hours, "most_memory_kb": max(seen.memory_kb for seen in hours)}
        | {f"{key}_an_hour": value for key, value in asdict(growth(hours)).items()},
        "short_calls": {"calls": given.calls}
        | {f"{key}_a_call": value for key, value in asdict(growth(calls)).items()},
        "stray_files": stray,
    }
    if given.json:
        print(json.dumps(report, indent=2))
        return
    for label, value in report.items():
        print(f"{label:16}{value}")


def stray_files(data_dir: Path, calls: int) -> int:
    """Audio files beyond the four of each call: leftover parts."""
    return sum(1 for path in (data_dir / "audio_recordings").iterdir()) - 4 * calls


if __name__ == "__main__":
    main()
