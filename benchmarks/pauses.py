"""How long after a click the recordings of a call are silent.

    .venv/bin/python -m benchmarks.pauses --calls 4 --pauses 20 [--workers 2] [--json]

Calls with continuous noise run in real time; each is paused and resumed by the API. `silent_ms` is the distance from what
layer 1 held when the request was sent to where its silence begins: at most so much was recorded after the click, since what
was being spoken then is later than what layer 1 held. `answer_ms` is until the answer, which reports the carrier too.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.end_to_end.house import House
from tests.end_to_end.test_pauses import PausedCall, layer, noise

from benchmarks.report import show
from callreel.domain.call import Role

BOUND_MS = 300


@dataclass(frozen=True, slots=True)
class Report:
    """`loud`: pauses in which a live layer has a sample that is not zero."""

    calls: int
    pauses: int
    media_workers: int
    silent_ms_p50: float
    silent_ms_p95: float
    silent_ms_max: float
    answer_ms_p50: float
    answer_ms_p95: float
    unconfirmed: int
    loud: int
    load_average: float

    @property
    def clean(self) -> bool:
        return self.silent_ms_p95 <= BOUND_MS and not self.loud and not self.unconfirmed


def run(calls: int, pauses: int, folder: Path, workers: int) -> Report:
    """`pauses` of each call, in turn."""
    chance = random.Random(1)
    silent_ms: list[int] = []
    answer_ms: list[float] = []
    unconfirmed = loud = 0
    with House(folder, {"CALLREEL_MEDIA_WORKERS": str(workers)}, speed=1.0) as house:
        begun = [PausedCall(house, noise()) for _ in range(calls)]
        for _ in range(pauses):
            for call in begun:
                time.sleep(chance.uniform(0.05, 0.3))
                held_ms, clicked_s = call.reached_ms, time.monotonic()
                state = call.post("pause")
                answer_ms.append(1000 * (time.monotonic() - clicked_s))
                unconfirmed += not state["silent"]
                silent_ms.append((state["start_ms"] or held_ms + 10_000) - held_ms)
                call.post("resume")
        for call in begun:
            call.hang_up()
            for role in Role:
                kept = layer(house, call.call, "live_8k", role)
                for pause in call.call["pauses"]:
                    first, last = (
                        pause[name] - call.call["live_offset_ms"] for name in ("start_ms", "end_ms")
                    )
                    loud += bool(kept[first * 8 : last * 8].any())
    silent_50, silent_95, silent_100 = np.percentile(silent_ms, (50, 95, 100))
    answer_50, answer_95 = np.percentile(answer_ms, (50, 95))
    return Report(
        calls, len(silent_ms), workers, float(silent_50), float(silent_95), float(silent_100), round(float(answer_50), 1),
        round(float(answer_95), 1), unconfirmed, loud, round(os.getloadavg()[0], 1),
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how fast a pause is silent; exit 1 above 300 ms.")
    parser.add_argument("--calls", type=int, default=4)
    parser.add_argument("--pauses", type=int, default=20)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="callreel-pauses-") as folder:
        report = run(given.calls, given.pauses, Path(folder), given.workers)
    show(report, as_json=given.json)
    return 0 if report.clean else 1


if __name__ == "__main__":
    sys.exit(main())
