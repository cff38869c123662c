"""Consent: whether anything is recorded or streamed before the other party agreed, or without it.

Calls in both directions through a whole server and the stand-in carrier, in real time. The other party agrees by a key or a
word, declines, or says nothing. For each call the stamp's time is compared with the instants at which the carrier began to
record and to stream; all clocks are this machine's.

    .venv/bin/python -m benchmarks.consent --calls 200 --json
"""

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from tests.end_to_end.house import TECHNICIAN, House

from benchmarks.report import show
from callreel.domain.call import Direction
from callreel.simulator.scenario import CallOutcome, CallScript

AT_ONCE = 10
VOICE_MS = 6_000
FRAME_BYTES = 160
SETTLE_S = 600.0
ANSWERS = {"key": ("1",), "word": ("yes please",), "no": ("2",), "no-word": ("no thanks",), "silence": ()}
AGREE = ("key", "word")
POLICY = {
    "version": 0,
    "rules": [{"name": "everybody", "mode": "ask", "notice": "Question"}],
    "notices": [
        {
            "name": "Question",
            "wordings": [{"language": "en-US", "text": "Record? Press 1.", "yes": ["yes"], "no": ["no"]}],
        }
    ],
}


@dataclass(frozen=True, slots=True)
class Report:
    """`early_*`: began before the stamp; `unconsented_*`: on a call without consent. Frames are those of both tracks.

    `unrecorded`: calls with consent that were not recorded and streamed. `suspect`: calls without consent whose verdict is not
    `explained`. `start_ms_*`: from the stamp to the start of the recording.
    """

    calls: int
    agreed: int
    early_recordings: int
    early_frames: int
    unconsented_recordings: int
    unconsented_frames: int
    unrecorded: int
    suspect: int
    start_ms_median: float
    start_ms_max: float

    @property
    def clean(self) -> bool:
        return not any(
            (
                self.early_recordings,
                self.early_frames,
                self.unconsented_recordings,
                self.unconsented_frames,
                self.unrecorded,
                self.suspect,
            )
        )


def run(calls: int, folder: Path) -> Report:
    kinds = list(product(ANSWERS, Direction))
    asked = [kinds[number % len(kinds)] for number in range(calls)]
    with House(folder, speed=1.0, recording_delay_s=0.5) as house:
        house.client.put("/api/v1/consent", json=POLICY).raise_for_status()
        outcomes = house.in_carrier(_place(house, [_script(*kind) for kind in asked]))
        shown = closed(house, outcomes)
    return _report([answer for answer, _ in asked], outcomes, shown)


def _script(answer: str, direction: Direction) -> CallScript:
    voice = np.random.default_rng(1).normal(0, 6_000, VOICE_MS * 8).clip(-30_000, 30_000).astype(np.int16)
    return CallScript(
        agent_voice=voice,
        technician_voice=voice[::-1],
        direction=direction,
        number=TECHNICIAN,
        ring_s=0.5,
        responses=ANSWERS[answer],
    )


async def _place(house: House, scripts: Sequence[CallScript]) -> list[CallOutcome]:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(script: CallScript) -> CallOutcome:
        async with slots:
            return await house.carrier.place(script)

    return list(await asyncio.gather(*(one(script) for script in scripts)))


def closed(house: House, outcomes: Sequence[CallOutcome]) -> list[dict[str, Any]]:
    """The calls as the API shows them once each has its verdict."""
    sids = {outcome.call_sid for outcome in outcomes}
    closed: dict[str, str] = {}

    def all_closed() -> bool:
        listed = house.client.get("/api/v1/calls", params={"limit": 500, "state": "closed"}).json()["calls"]
        closed.update({call["call_sid"]: call["call_id"] for call in listed})
        return sids <= closed.keys()

    house.until(all_closed, SETTLE_S)
    return [house.client.get(f"/api/v1/calls/{closed[outcome.call_sid]}").json() for outcome in outcomes]


def _report(
    answers: Sequence[str], outcomes: Sequence[CallOutcome], shown: Sequence[dict[str, Any]]
) -> Report:
    counts: Counter[str] = Counter()
    delays_ms: list[float] = []
    for answer, outcome, call in zip(answers, outcomes, shown, strict=True):
        frames = [sum(map(len, stream.tracks.values())) // FRAME_BYTES for stream in outcome.streams]
        if answer not in AGREE:
            counts["unconsented_recordings"] += len(outcome.recordings)
            counts["unconsented_frames"] += sum(frames) + 1000 * len(call["layers"])
            counts["suspect"] += call["verdict"] != "explained"
            continue
        stamp = call["consent"]
        counts["unrecorded"] += not (outcome.recordings and outcome.streams and stamp["answer"] == "granted")
        answered_at = datetime.fromisoformat(stamp["answered_at"])
        for recording in outcome.recordings:
            counts["early_recordings"] += recording.began_at < answered_at
            delays_ms.append((recording.began_at - answered_at).total_seconds() * 1000)
        for stream, number in zip(outcome.streams, frames, strict=True):
            counts["early_frames"] += number * (stream.began_at < answered_at)
    return Report(
        calls=len(outcomes),
        agreed=sum(answer in AGREE for answer in answers),
        early_recordings=counts["early_recordings"],
        early_frames=counts["early_frames"],
        unconsented_recordings=counts["unconsented_recordings"],
        unconsented_frames=counts["unconsented_frames"],
        unrecorded=counts["unrecorded"],
        suspect=counts["suspect"],
        start_ms_median=round(float(np.median(delays_ms)), 1) if delays_ms else 0.0,
        start_ms_max=round(max(delays_ms, default=0.0), 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = run(options.calls, Path(folder))
    show(report, as_json=options.json)
    sys.exit(0 if report.clean else 1)


if __name__ == "__main__":
    main()
