"""Calls that are paused in the middle: nothing of the pause is anywhere, everything else is as without it."""

import base64
import itertools
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from callreel.audio import mulaw
from callreel.domain.call import Role, Track
from callreel.simulator.faults import Fault
from callreel.simulator.scenario import CallOutcome, CallScript
from callreel.simulator.sound.voices import load_voice, shipped_voice
from tests.end_to_end.house import TECHNICIAN, House
from tests.end_to_end.live_files import codes, holder, live_files, script
from tests.end_to_end.office import ALL_BY_DEFAULT_ENGINE
from tests.support.encryption import contents

RATE_HZ = 8_000
TRACKS = {Role.AGENT: Track.INBOUND, Role.TECHNICIAN: Track.OUTBOUND}
SPOKEN_S = 23
BEFORE_MS, UNTIL_MS = 15_000, 19_700
"""Of the live layers: the phone rings for 2 s, the agent says the secret words from 13.1 to 17.3 s after the answer."""
SECRET_WORDS = ("empty", "doors are", "red light", "red")


class PausedCall:
    """A call, from the moment at which its live layers exist. `call` is as the API shows it, once it is over."""

    def __init__(self, house: House, call: CallScript) -> None:
        self.house = house
        self._known = {path.name for path in live_files(house)}
        self._placed: Future[CallOutcome] = house.begin(call)
        self.call: dict[str, Any] = {}
        house.until(lambda: len(self._new_files()) == 2, 60)
        self.files = self._new_files()

    def reach(self, position_ms: int) -> None:
        """Wait until the live layers have come so far."""
        self.house.until(lambda: self.reached_ms >= position_ms, 60)

    def _new_files(self) -> list[Path]:
        return [path for path in live_files(self.house) if path.name not in self._known]

    @property
    def reached_ms(self) -> int:
        return min(((path.stat().st_size - 44) // 16 for path in self.files), default=0)

    @property
    def call_id(self) -> str:
        return self.files[0].name.split("_")[1]

    def post(self, change: str) -> dict[str, Any]:
        answer = self.house.client.post(f"/api/v1/calls/{self.call_id}/{change}")
        assert answer.status_code == 200, answer.text
        state: dict[str, Any] = answer.json()
        return state

    def pause(self) -> dict[str, Any]:
        """The answer, once the recorder has confirmed, which takes a busy machine longer than a request waits."""
        answer = self.post("pause")

        def is_silent() -> bool:
            answer["start_ms"] = self.house.call_of(self.call_id)["pauses"][-1]["start_ms"]
            return answer["start_ms"] is not None

        self.house.until(is_silent, 20)
        return answer

    def hang_up(self) -> CallOutcome:
        """End the call at the carrier, by REST."""
        self.house.hang_up(self.call_id)
        return self.end()

    def end(self) -> CallOutcome:
        """Wait for the call's end and its verdict."""
        outcome = self._placed.result(120)
        self.call = self.house.closed_call(outcome.call_sid)
        return outcome


_seeds = itertools.count()


def noise(*faults: Fault) -> CallScript:
    """A call that lasts until a party hangs up. No samples repeat, so any stretch of them is recognized wherever it is."""
    rng = np.random.default_rng(next(_seeds))
    agent, technician = (_bursts(rng) for _ in Role)
    return CallScript(
        agent_voice=agent, technician_voice=technician, number=TECHNICIAN, faults=faults, ring_s=0.5
    )


def _bursts(rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Without changes of loudness, as in speech, two captures could not be aligned."""
    loud = np.repeat(rng.random(180 * 10) < 0.8, RATE_HZ // 10)
    samples: npt.NDArray[np.int16] = np.clip(rng.normal(0, 5_000, loud.size) * loud, -30_000, 30_000).astype(
        np.int16
    )
    return samples


def layer(house: House, call: dict[str, Any], name: str, role: str | None) -> npt.NDArray[np.int16]:
    samples: npt.NDArray[np.int16] = soundfile.read(house.layer(call, name, role), dtype="int16")[0]
    return samples


def place_of(pause: dict[str, Any], call: dict[str, Any]) -> slice:
    """Where a pause is in the live layers, in samples."""
    first, last = (pause[name] - call["live_offset_ms"] for name in ("start_ms", "end_ms"))
    return slice(first * 8, last * 8)


def assert_silent_and_exact(house: House, call: dict[str, Any], outcome: CallOutcome) -> None:
    """Layer 1 is what was sent, and silence in the pauses; our copy of the recording is silent there too."""
    offset_ms = outcome.streams[0].start_ms - outcome.recordings[0].start_ms
    for number, (role, track) in enumerate(TRACKS.items()):
        expected = mulaw.decode(outcome.streams[0].tracks[track]).copy()
        cloud = layer(house, call, "cloud", None)[:, number]
        for pause in call["pauses"]:
            place = place_of(pause, call)
            assert place.stop > place.start
            expected[place] = 0
            assert not cloud[place.start + offset_ms * 8 : place.stop + offset_ms * 8].any()
            assert not layer(house, call, "live_16k", role)[
                2 * place.start + 320 : 2 * place.stop - 320
            ].any()
        np.testing.assert_array_equal(layer(house, call, "live_8k", role), expected)


def assert_nowhere(house: House, call: dict[str, Any], outcome: CallOutcome) -> None:
    """No stretch of the paused audio, in any form in which it travels, is in any file of the installation or its log."""
    secrets: list[bytes] = []
    for pause in call["pauses"]:
        place = place_of(pause, call)
        for track in Track:
            sent = outcome.streams[0].tracks[track][place]
            for at in range(0, len(sent) - 160, 400):
                piece = sent[at : at + 36]
                if len(set(piece)) > 12:  # not silence
                    secrets += [piece, base64.b64encode(piece), mulaw.decode(piece).tobytes()]
    assert len(secrets) > 30
    for path, held in everything(house).items():
        assert not any(secret in held for secret in secrets), path


def everything(house: House) -> dict[Path, bytes]:
    """Every file, with databases and their write-ahead logs, that of the durable engine, and the server's log."""
    found = contents(house.folder)
    assert {"app.db", "stages.db", "server.log"} <= {path.name for path in found}
    return found


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_spoken_words_of_a_pause_are_nowhere(tmp_path: Path) -> None:
    """Recorded voices and the default engine, live and final."""
    agent, technician = (load_voice(shipped_voice(role))[: SPOKEN_S * RATE_HZ] for role in Role)
    with House(tmp_path, ALL_BY_DEFAULT_ENGINE, speed=1.0) as house:
        paused = PausedCall(
            house, CallScript(agent_voice=agent, technician_voice=technician, number=TECHNICIAN)
        )
        paused.reach(BEFORE_MS)
        state = paused.pause()
        assert (state["paused"], state["carrier"], state["warning"]) == (True, "paused", None)
        paused.reach(UNTIL_MS)
        paused.post("resume")
        outcome = paused.end()
        call = paused.call
        assert call["verdict"] == "verified", call["reasons"]
        assert_silent_and_exact(house, call, outcome)
        assert_nowhere(house, call, outcome)
        for turns in ("turns", "live_turns"):
            text = " ".join(turn["text"] for turn in call[turns]).lower()
            assert "elevator" in text and "power" in text, "what was said before and after is there"
            assert not any(word in text for word in SECRET_WORDS), text
        exported = house.client.get(f"/calls/{call['call_id']}/transcript.txt").text
        assert exported.count("[recording paused]") == 1
        for path, held in everything(house).items():
            assert not any(word.encode() in held.lower() for word in SECRET_WORDS[:3]), path


FAULTS = {
    "pause-refused": (1, "refused"),
    "pause-500": (1, "away"),
    "pause-slow": (6, "away"),
}
"""Of the carrier or the stream: its number, and whether the carrier pauses."""


PHRASES = {"CALLREEL_PAUSE_PHRASES": "the boiler, security code"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("pauses"), PHRASES, speed=1.0) as house:
        yield house


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_faults_in_a_pause_are_reported_at_once_and_silenced_here(house: House) -> None:
    begun = {name: PausedCall(house, noise(Fault(name, value))) for name, (value, _) in FAULTS.items()}
    for name, paused in begun.items():
        paused.reach(1_000)
        state = paused.pause()
        assert state["carrier"] == FAULTS[name][1]
        assert ("The carrier's recording is not paused" in (state["warning"] or "")) is (
            state["carrier"] != "paused"
        )
    for name, paused in begun.items():
        if name != "pause-refused":
            house.until(lambda: house.call_of(paused.call_id)["pauses"][0]["carrier"] == "paused", 20)  # noqa: B023
        paused.post("resume")
    for name, paused in begun.items():
        outcome = paused.hang_up()
        offset_ms = outcome.streams[0].start_ms - outcome.recordings[0].start_ms
        place = place_of(paused.call["pauses"][0], paused.call)
        theirs = outcome.recordings[0].samples
        assert theirs is not None
        if FAULTS[name][1] != "paused":
            assert theirs[place.start + offset_ms * 8 : place.stop + offset_ms * 8].any(), (
                "they did record it"
            )
        assert paused.call["verdict"] in ("verified", "explained"), paused.call["reasons"]
        assert codes(paused.call) <= {"paused"}
        assert_silent_and_exact(house, paused.call, outcome)
        assert_nowhere(house, paused.call, outcome)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_phrase_pauses_the_recording(house: House) -> None:
    paused = PausedCall(
        house, script(15)
    )  # the scripted engine says "please check the boiler" to the first segment
    house.until(lambda: len(house.call_of(paused.call_id)["pauses"]) == 1, 60)
    house.until(lambda: house.call_of(paused.call_id)["pauses"][0]["silent"], 20)
    outcome = paused.hang_up()
    (pause,) = paused.call["pauses"]
    assert (pause["cause"], pause["by"], pause["ended_by"]) == ("phrase", "", "call")
    first = (pause["start_ms"] - paused.call["live_offset_ms"]) * 8
    for role, track in TRACKS.items():
        expected = mulaw.decode(outcome.streams[0].tracks[track]).copy()
        expected[first:] = 0
        np.testing.assert_array_equal(layer(house, paused.call, "live_8k", role), expected)
    assert not any("cold" in turn["text"] for turn in paused.call["live_turns"])


@pytest.mark.long
@pytest.mark.timeout(240)
def test_call_of_a_killed_server_stays_paused_to_its_end(house: House) -> None:
    paused = PausedCall(house, noise())
    paused.reach(1_000)
    first = paused.pause()["start_ms"]
    house.kill_server()
    house.start_server()
    paused.hang_up()
    (pause,) = paused.call["pauses"]
    assert (pause["ended_by"], pause["end_ms"]) == ("call", None)
    for role in Role:
        assert not layer(house, paused.call, "live_8k", role)[first * 8 :].any()
    assert not layer(house, paused.call, "cloud", None)[(first + 700) * 8 :].any()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_paused_call_of_a_killed_media_worker_stays_paused(tmp_path: Path) -> None:
    with House(tmp_path, {"CALLREEL_MEDIA_WORKERS": "2"}, speed=1.0) as house:
        paused = PausedCall(house, noise())
        paused.reach(1_000)
        first = paused.pause()["start_ms"]  # the pause reached the worker
        os.kill(holder(house), signal.SIGKILL)
        before = paused.reached_ms
        house.until(lambda: paused.reached_ms > before + 1_500, 60)  # the other worker continues the files
        assert paused.post("resume")["start_ms"] == first
        house.until(lambda: house.call_of(paused.call_id)["pauses"][0]["end_ms"] is not None, 20)
        until = house.call_of(paused.call_id)["pauses"][0]["end_ms"]
        paused.reach(until + 700)
        paused.hang_up()
        assert codes(paused.call) <= {"stream_interrupted", "paused"}, paused.call["reasons"]
        for role in Role:
            kept = layer(house, paused.call, "live_8k", role)
            assert kept[: first * 8 - 1_280].any() and not kept[first * 8 : until * 8].any()
            assert kept[until * 8 :].any()
        cloud = layer(house, paused.call, "cloud", None)
        assert not cloud[(first + 600) * 8 : (until + 200) * 8].any()
