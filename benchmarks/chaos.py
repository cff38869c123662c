"""kill -9 at random instants during calls: what is lost, doubled or damaged.

The server runs in a process of its own and dies again and again: in the middle of calls, of stages, of its own start.
The stand-in carrier lives on and does what a carrier does: it sends each webhook for 15 seconds and no longer, and its
recordings wait on its list. Voices go at the pace of real time, so that lost milliseconds mean what they say.

    .venv/bin/python -m benchmarks.chaos --calls 300 --kills 200 --json
    .venv/bin/python -m benchmarks.chaos --calls 300 --kills 200 --database postgresql://user@host/empty --json

Not a test of a power cut: what the kernel took from a killed process still reaches the disk.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import numpy as np
from tests.end_to_end.house import TECHNICIAN, House

from benchmarks.chaos_audit import Findings, audit, keyring_of, playable
from benchmarks.report import show
from callreel.simulator.scenario import CallOutcome, CallScript
from callreel.store.db.database import Database
from callreel.store.encryption.master_keys import new_master_key

RATE_HZ = 8_000
VOICE_S = 3.0
RING_S = 0.5
UP_S = 3.0
"""The longest that a server lives after it answers."""
START_S = 2.5
"""The longest that one lives that is killed while it starts."""
KILLED_IN_START = 0.2
"""The share of kills that strike a server before it answers."""
ANSWERS_S = 300.0
"""The longest that a server may take to start, on a machine that has other work."""
PAUSED = 0.7
"""The share of live calls that a person pauses or resumes before a kill."""
SETTLE_S = 180.0
DEADLINE_S = 30


@dataclass(frozen=True, slots=True)
class Report:
    """`calls`: calls that the carrier connected; `refused`: tries of calls that found no server to answer them.

    `lost`: connected calls that did not end with their recording stored and their transcript, and calls left open.
    `doubled`: whatever is there twice. `unplayable`: files that cannot be played, at a kill or at the end.
    `audio_lost_ms_max`: of what a server had received of a live stream when it died, the most that layer 1 lacks. What lay
    in the kernel, unread by a server that had no processor time, was sent, not received.
    """

    calls: int
    kills: int
    lost: int
    doubled: int
    unplayable: int
    audio_lost_ms_max: int
    kills_in_start: int
    streams_cut: int
    refused: int
    took_s: int
    database: str
    findings: tuple[str, ...]
    pauses: int = 0
    """How often a person paused or resumed a call, many of them just before a kill."""

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.unplayable)


def run(
    calls: int,
    kills: int,
    folder: Path,
    *,
    database_url: str | None = None,
    master: str | None = None,
    seed: int = 0,
) -> Report:
    """Place `calls` calls while the server is killed `kills` times; `folder` holds all that it keeps.

    With the `master` key it is encrypted.
    """
    chance = random.Random(seed)
    began = time.monotonic()
    with House(folder, _settings(database_url, master), speed=1.0, recording_delay_s=0.5) as house:
        caller = _Caller(house, chance)
        url = database_url or f"sqlite:///{house.data_dir / 'app.db'}"
        spoilt: set[str] = set()
        in_start, pauses, received_ms = 0, 0, dict[str, int]()
        for kill in range(kills):
            caller.allow(calls * (kill + 1) // kills)
            if chance.random() < KILLED_IN_START:
                in_start += 1
                caller.work(chance.uniform(0.1, START_S))
            else:
                house.until(house.answers, ANSWERS_S)
                caller.work(chance.uniform(0.0, UP_S))
                pauses += _pause_some(house, chance)
            received_ms = house.kill_server() | received_ms  # a stream ends with the first kill that it meets
            spoilt |= _unplayable(house, url, master)
            house.launch_server()
        house.until(house.answers, ANSWERS_S)
        caller.allow(calls)
        while not caller.done:
            caller.work(0.2)
        outcomes = caller.outcomes
        left_open = _settle(house)
        house.stop_server()
        found = audit(house.data_dir, url, outcomes, received_ms, master)
    report = _report(found, outcomes, spoilt, left_open, caller.refused, kills, in_start, began, database_url)
    return replace(report, pauses=pauses)


def _unplayable(house: House, database_url: str, master: str | None) -> set[str]:
    """The live files that could not be played when the server was killed."""
    files = _live_files(house)
    if not files:
        return set()  # the first server may have died before it had tables
    with closing(Database.open(database_url)) as database:
        keys = keyring_of(database, master)
    return {path.name for path in files if not playable(path, keys)}


def _settings(database_url: str | None, master: str | None) -> dict[str, str]:
    settings = {
        "CALLREEL_ENGINE_OPTIONS": "delay_s=0.1,text=please check the boiler|it is cold in here",
        "CALLREEL_RECORDING_DEADLINE_S": str(DEADLINE_S),
        "CALLREEL_RECORDING_GRACE_S": "1",
    }
    given = {"CALLREEL_DATABASE_URL": database_url, "CALLREEL_ENCRYPTION_KEYS": master}
    return settings | {name: value for name, value in given.items() if value is not None}


class _Caller:
    """Places calls one after the other at random moments, repeating a call that was not answered."""

    def __init__(self, house: House, chance: random.Random) -> None:
        self._house = house
        self._chance = chance
        self._wanted = 0
        self._running: list[Future[CallOutcome]] = []
        self.outcomes: list[CallOutcome] = []
        self.refused = 0

    def allow(self, calls: int) -> None:
        """So many calls may have begun."""
        self._wanted = calls

    @property
    def done(self) -> bool:
        return not self._running and len(self.outcomes) >= self._wanted

    def work(self, seconds: float) -> None:
        """Begin what may begin, spread over this time."""
        self._gather()
        due = max(0, self._wanted - len(self._running) - len(self.outcomes))
        moments = sorted(self._chance.uniform(0, seconds) for _ in range(due))
        began = time.monotonic()
        for moment in [*moments, seconds]:
            time.sleep(max(0.0, began + moment - time.monotonic()))
            if due:
                due -= 1
                self._place()

    def _place(self) -> None:
        rng = np.random.default_rng(self._chance.getrandbits(32))
        agent, technician = (_voice(rng) for _ in range(2))
        script = CallScript(agent_voice=agent, technician_voice=technician, number=TECHNICIAN, ring_s=RING_S)
        self._running.append(self._house.begin(script))

    def _gather(self) -> None:
        ended = [call for call in self._running if call.done()]
        self._running = [call for call in self._running if not call.done()]
        for call in ended:
            outcome = call.result()
            if outcome.recordings:
                self.outcomes.append(outcome)
            else:
                self.refused += 1


def _voice(rng: np.random.Generator) -> np.ndarray:
    """Bursts of noise: no two calls sound the same, so that one's audio cannot pass for another's."""
    samples = rng.normal(0, 3_000, round(VOICE_S * RATE_HZ))
    bursts = np.repeat(rng.random(round(VOICE_S * 4)) < 0.6, RATE_HZ // 4)
    return np.clip(samples * bursts, -30_000, 30_000).astype(np.int16)


def _pause_some(house: House, chance: random.Random) -> int:
    """Pause or resume some of the live calls; how many."""
    try:
        listed = house.client.get("/api/v1/calls", params={"state": "live"}).json()["calls"]
        changes = [
            house.client.post(f"/api/v1/calls/{call['call_id']}/{chance.choice(('pause', 'resume'))}")
            for call in listed
            if chance.random() < PAUSED
        ]
    except httpx2.HTTPError:
        return 0
    return sum(change.status_code == 200 for change in changes)


def _live_files(house: House) -> list[Path]:
    return sorted((house.data_dir / "audio_recordings").glob("*.wav"))


def _settle(house: House) -> list[str]:
    """Wait until every call is closed; those that are not by the deadline."""
    until = time.monotonic() + SETTLE_S
    while True:
        listed = house.client.get("/api/v1/calls", params={"limit": 500}).json()["calls"]
        left = [call["call_sid"] for call in listed if call["state"] != "closed"]
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.2)


def _report(  # noqa: PLR0913  # a value for each field
    found: Findings,
    outcomes: Sequence[CallOutcome],
    spoilt: set[str],
    left_open: list[str],
    refused: int,
    kills: int,
    in_start: int,
    began: float,
    database_url: str | None,
) -> Report:
    lost = {*found.lost, *(f"{sid}: never closed" for sid in left_open)}
    unplayable = {*found.unplayable, *(f"{name}: not playable at a kill" for name in spoilt)}
    return Report(
        calls=len(outcomes), kills=kills, lost=len(lost), doubled=len(found.doubled), unplayable=len(unplayable),
        audio_lost_ms_max=max(found.audio_lost_ms, default=0), kills_in_start=in_start,
        streams_cut=sum(lost_ms > 0 for lost_ms in found.audio_lost_ms), refused=refused,
        took_s=round(time.monotonic() - began), database="PostgreSQL" if database_url else "SQLite",
        findings=tuple(sorted({*lost, *found.doubled, *unplayable})),
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Kill the server at random instants; exit 1 if anything was lost."
    )
    parser.add_argument("--calls", type=int, default=30)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--database", help="an empty PostgreSQL database that may be filled; default: SQLite")
    parser.add_argument("--encrypted", action="store_true", help="with encryption at rest")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.calls < 1 or given.kills < 1:
        parser.error("expected at least one call and one kill")
    with tempfile.TemporaryDirectory(prefix="callreel-chaos-") as folder:
        report = run(
            given.calls, given.kills, Path(folder), database_url=given.database,
            master=new_master_key("chaos") if given.encrypted else None, seed=given.seed,
        )  # fmt: skip
    show(report, as_json=given.json)
    return 0 if report.clean else 1


if __name__ == "__main__":
    sys.exit(main())
