"""Several servers and workers on one PostgreSQL behind a load balancer: real processes, killed and cut off.

Each process has its own data folder, so that only the database shows which processes are alive, as on separate machines.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import numpy as np
import pytest
import soundfile

from callreel.audio import mulaw
from callreel.domain.call import Role, Track
from callreel.simulator.faults import Fault
from callreel.simulator.scenario import CallOutcome
from tests.end_to_end.house import House
from tests.end_to_end.live_files import RATE_HZ, script
from tests.end_to_end.machines import MEDIA, Balancer, Machine, shared
from tests.support.postgres import PostgresServer, postgres_server

pytestmark = pytest.mark.timeout(600)
"""Five processes start on a machine that may be busy with others."""

AWAY_S = float(os.environ.get("CALLREEL_TEST_AWAY_S", "5"))
"""Duration of the database outage; a manual run may set a longer one."""
TRACKS = ((Role.AGENT, Track.INBOUND), (Role.TECHNICIAN, Track.OUTBOUND))
START_S = 180.0
TAKEN_OVER_S = 60.0


@dataclass
class Installation:
    """Server one takes webhooks and shows pages; `media` is where the sockets go."""

    house: House
    postgres: PostgresServer
    two: Machine
    workers: list[Machine]
    media: list[int] = field(default_factory=list)

    def machine(self, name: str, *command: str, **settings: str) -> Machine:
        return Machine(self.house, name, *command, settings=settings)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("many-machines")
    media: list[int] = []

    def port_of(first: bytes) -> int:
        if not first.startswith(MEDIA):
            return house.port
        return media.pop(0) if len(media) > 1 else media[0]

    balancer = Balancer(port_of)
    with postgres_server() as postgres:
        settings = shared(folder, postgres.new_url()) | {"CALLREEL_WORK_QUEUES": "none"}
        house = House(folder, settings, speed=1.0, public_url=balancer.url)
        with house:
            house.in_carrier(balancer.start())
            two = Machine(house, "two", "serve", "--demo")
            slow = Machine(
                house, "slow-worker", "work", "--queues", "download,transcribe,compare",
                settings={"CALLREEL_ENGINE_OPTIONS": "delay_s=1.5,text=please check the boiler"},
            )  # fmt: skip
            made = Installation(house, postgres, two, [slow], media)
            try:
                house.until(two.answers, START_S)
                house.until(slow.works, START_S)
                yield made
            finally:
                for machine in [made.two, *made.workers]:
                    machine.kill()
                house.in_carrier(balancer.stop())


class Page:
    """The events that one server sends to the live page of all calls."""

    def __init__(self, url: str) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.open = False
        self._url = url
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        try:
            with httpx2.stream("GET", f"{self._url}/events", timeout=120) as answer:
                self.open = True
                kind = ""
                for line in answer.iter_lines():
                    if line.startswith("event: "):
                        kind = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        self.events.append((kind, json.loads(line.removeprefix("data: "))))
        except httpx2.HTTPError:
            self.open = False

    def received(self, kind: str) -> list[dict[str, Any]]:
        return [data for known, data in list(self.events) if known == kind]


def live_files(house: House) -> list[Any]:
    return sorted((house.folder / "audio" / "audio_recordings").glob("*_8000Hz.wav"))


def exact(house: House, call: dict[str, Any], outcome: CallOutcome) -> None:
    """Check that layer 1 equals the audio that the carrier sent."""
    for role, track in TRACKS:
        [path] = [e["path"] for e in call["layers"] if (e["layer"], e["role"]) == ("live_8k", role)]
        kept, _ = soundfile.read(house.folder / "audio" / path, dtype="int16")
        np.testing.assert_array_equal(kept, mulaw.decode(outcome.streams[0].tracks[track]))


def test_cut_stream_continues_on_another_server(installation: Installation) -> None:
    house, two = installation.house, installation.two
    installation.media[:] = [two.port, house.port]
    outcome = house.begin(script(6, Fault("socket-cut", 2))).result(60)
    call = house.closed_call(outcome.call_sid)
    first, second = outcome.streams
    for role, track in TRACKS:
        [path] = [e["path"] for e in call["layers"] if (e["layer"], e["role"]) == ("live_8k", role)]
        kept, _ = soundfile.read(house.folder / "audio" / path, dtype="int16")
        before, after = (mulaw.decode(stream.tracks[track]) for stream in (first, second))
        np.testing.assert_array_equal(kept[-after.size :], after)
        np.testing.assert_array_equal(
            kept[: before.size - 2 * RATE_HZ // 10], before[: before.size - 2 * RATE_HZ // 10]
        )
    assert call["verdict"] == "explained"
    assert {reason["code"] for reason in call["reasons"]} == {"stream_interrupted"}
    assert "call given up: not recorded here any more" in two.log
    assert call["live_turns"]


def test_stopped_server_hands_its_call_to_another(installation: Installation) -> None:
    """As in an upgrade: the stopping server requests a stream, which the load balancer sends to another one."""
    house = installation.house
    going = installation.machine("old", "serve", "--demo", CALLREEL_DRAIN_TIMEOUT_S="0.5")
    house.until(going.answers, START_S)
    installation.media[:] = [going.port]
    before = set(live_files(house))
    call_going = house.begin(script(9))
    house.until(lambda: len(live_files(house)) == len(before) + 2, 60)
    grown = [path for path in live_files(house) if path not in before]
    house.until(lambda: all(soundfile.info(path).frames > 2 * RATE_HZ for path in grown), 60)
    installation.media[:] = [house.port]
    assert going.stop() == 0
    outcome = call_going.result(60)
    call = house.closed_call(outcome.call_sid)
    first, second = outcome.streams
    for role, track in TRACKS:
        [path] = [e["path"] for e in call["layers"] if (e["layer"], e["role"]) == ("live_8k", role)]
        kept, _ = soundfile.read(house.folder / "audio" / path, dtype="int16")
        early, late = (mulaw.decode(stream.tracks[track]) for stream in (first, second))
        np.testing.assert_array_equal(kept[: 2 * RATE_HZ], early[: 2 * RATE_HZ])
        np.testing.assert_array_equal(kept[-late.size :], late)
    assert call["verdict"] == "explained"


def test_page_is_live_on_every_server_and_work_survives_deaths(
    installation: Installation,
) -> None:
    house, two = installation.house, installation.two
    installation.media[:] = [two.port]
    page = Page(house.url)
    house.until(lambda: page.open, 30)

    first = house.begin(script(5))
    house.until(lambda: bool(page.received("level")), 60)
    house.until(lambda: bool(page.received("final")), 60)
    outcome = first.result(60)
    assert outcome.streams, "the socket was on the second server"
    house.until(lambda: {"download", "transcribe"} <= {e["stage"] for e in page.received("stage")}, 60)

    before = len(live_files(house))
    second = house.begin(script(8))
    house.until(lambda: len(live_files(house)) == before + 2, 60)
    house.until(lambda: all(soundfile.info(path).frames > RATE_HZ for path in live_files(house)), 60)
    [slow] = installation.workers
    slow.kill()
    two.kill()
    killed_at = time.monotonic()
    installation.media[:] = [house.port]
    worker = installation.machine("worker", "work", "--queues", "download,transcribe,compare")
    installation.workers.append(worker)

    call = house.closed_call(outcome.call_sid)
    assert time.monotonic() - killed_at < TAKEN_OVER_S
    assert call["verdict"] == "verified"
    assert call["transcript"]["revision"] == 1
    assert [layer["layer"] for layer in call["layers"]].count("cloud") == 1
    exact(house, call, outcome)

    cut = second.result(60)
    call = house.closed_call(cut.call_sid)
    assert call["verdict"] == "explained"
    assert "stream_cut" in {reason["code"] for reason in call["reasons"]}
    assert {layer["state"] for layer in call["layers"] if layer["layer"].startswith("live")} == {"repaired"}
    assert call["turns"]
    house.until(lambda: len(page.received("verdict")) == 2, 30)


def test_database_outage_loses_nothing(installation: Installation) -> None:
    """During a live call, another call's workflow and an open page. The call ends during the outage."""
    house, postgres = installation.house, installation.postgres
    installation.media[:] = [house.port]
    page = Page(house.url)
    house.until(lambda: page.open, 30)
    finished = house.begin(script(3)).result(60)
    before = len(live_files(house))
    going = house.begin(script(round(AWAY_S) + 6))
    house.until(lambda: len(live_files(house)) == before + 2, 60)
    newest = sorted(live_files(house), key=lambda path: path.stat().st_mtime)[-2:]
    house.until(lambda: all(soundfile.info(path).frames > RATE_HZ for path in newest), 60)

    postgres.stop("immediate")
    reached = soundfile.info(newest[0]).frames
    house.until(lambda: soundfile.info(newest[0]).frames > reached + AWAY_S * RATE_HZ, 60 + AWAY_S)
    postgres.start()

    outcome = going.result(60 + AWAY_S)
    for each in (finished, outcome):
        call = house.closed_call(each.call_sid)
        assert call["verdict"] == "verified"
        exact(house, call, each)
    assert call["live_turns"] or call["turns"]
    house.until(lambda: len(page.received("verdict")) == 2, 30)
    assert house.server is not None and house.server.poll() is None
