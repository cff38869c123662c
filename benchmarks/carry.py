"""How many live-transcribed calls a machine carries with an engine, and what gives way first.

    python -m benchmarks.carry --engine faster-whisper --audio ../shared/audio/LJ001-0002.wav --calls 1 2 4 8 [--json]

For each number of calls a server of its own, real time, both tracks speaking in turn. Carried means: finals come within
`--late` milliseconds of their segment's end at P95, and all within ten seconds of the last word. Partials may be shed
meanwhile: that is what gives way first, and the live page says so. `finals_waiting` are segments that had no text by then.
The senders run on the same machine and take a few percent of a core a call, so the number is a little low.
"""

import argparse
import asyncio
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.live import one_call, speech
from benchmarks.server import Server, machine

MAX_LATE_MS = 10_000.0
WORKERS = 2


@dataclass(frozen=True, slots=True)
class Carried:
    """One number of calls. `core_share`: of the server and its engines, over the stretch of speech."""

    calls: int
    carried: bool
    finals: int
    final_p50_ms: float
    final_p95_ms: float
    final_most_ms: float
    partials_shed: int
    core_share: float
    finals_waiting: int


async def measure(audio: Path, calls: int, seconds: int, late_ms: float, settings: dict[str, str]) -> Carried:
    with tempfile.TemporaryDirectory(prefix="callreel-carry-") as name:
        with Server(Path(name), settings) as server:
            codes = speech(audio, seconds)
            before = server.usage().cpu_s
            answers = await asyncio.gather(
                *(one_call(server, number, codes, linger_s=MAX_LATE_MS / 1000) for number in range(calls))
            )
            used_s = server.usage().cpu_s - before
            shed = await asyncio.to_thread(_metric, server, "callreel_partials_shed_total")
            waiting = await asyncio.to_thread(_metric, server, "callreel_finals_waiting")
    late = np.array([latency for answer in answers for latency in answer] or [MAX_LATE_MS])
    p50, p95 = np.percentile(late, (50, 95))
    return Carried(
        calls, bool(p95 <= late_ms and not waiting), late.size, round(float(p50)), round(float(p95)),
        round(float(late.max())), shed, round(used_s / (seconds + MAX_LATE_MS / 1000), 2), waiting,
    )  # fmt: skip


def _metric(server: Server, name: str) -> int:
    lines = server.client.get("/metrics").text.splitlines()
    return next((round(float(line.rpartition(" ")[2])) for line in lines if line.startswith(f"{name} ")), 0)


def main() -> None:
    parser = argparse.ArgumentParser(description="How many live-transcribed calls a machine carries.")
    parser.add_argument(
        "--audio", type=Path, default=Path("../shared/audio/LJ001-0002.wav"), help="speech, WAV"
    )
    parser.add_argument("--engine", default="faster-whisper", help="CALLREEL_ENGINE of the server")
    parser.add_argument("--workers", type=int, default=WORKERS, help="CALLREEL_ENGINE_WORKERS")
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--seconds", type=int, default=40)
    parser.add_argument("--late", type=float, default=2_000, help="what a final may take at P95, in ms")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if not given.audio.exists():
        parser.error(f"there is no {given.audio}: name a WAV file with speech")
    settings = {"CALLREEL_ENGINE": given.engine, "CALLREEL_ENGINE_WORKERS": str(given.workers)}
    rows = [
        asyncio.run(measure(given.audio, calls, given.seconds, given.late, settings)) for calls in given.calls
    ]
    if given.json:
        print(
            json.dumps(
                {"machine": machine(), "engine": given.engine, "rows": [asdict(row) for row in rows]},
                indent=2,
            )
        )
        return
    print(f"{machine()}, engine {given.engine}, {given.workers} workers")
    print("".join(f"{name:>15}" for name in asdict(rows[0])))
    for row in rows:
        print("".join(f"{value!s:>15}" for value in asdict(row).values()))


if __name__ == "__main__":
    main()
