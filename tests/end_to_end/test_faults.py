"""Each fault of the simulated carrier ends in the promised state. About twenty calls at once, on one server."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from callreel.audio import mulaw
from callreel.domain.call import Role, Track
from callreel.simulator.faults import FAULTS, Fault
from callreel.simulator.scenario import CallOutcome, CallScript
from callreel.simulator.sound.voices import load_voice, shipped_voice
from tests.end_to_end.house import TECHNICIAN, House
from tests.support.fault_promises import PROMISES, REQUEST_FAULTS, WITHOUT_CONVERSATION

RATE_HZ = 8000
VOICE_S = 14
LONGEST_S = 300
"""Of calls whose socket is cut: they last until their next stream, which takes as long as the machine needs."""
SECOND_MS = 10_000
SPEED = 2.5
"""Slower than other tests: delays of a busy machine must not look like faults of seconds of call time."""


FAULTS_OF_CALL = {
    "none": (),
    "lost": (Fault("lost", 0.05),),
    "late-stream": (Fault("late-stream", 7),),
    "callback-lost": (Fault("callback-lost"), Fault("list-429", 1), Fault("list-slow", 1)),
}


@dataclass(frozen=True)
class FaultCalls:
    house: House
    outcomes: dict[str, CallOutcome]
    calls: dict[str, dict[str, Any]]


def script(*faults: Fault) -> CallScript:
    long_s = LONGEST_S if any(fault.name.startswith("socket-cut") for fault in faults) else VOICE_S
    agent, technician = (np.resize(load_voice(shipped_voice(role)), long_s * RATE_HZ) for role in Role)
    return CallScript(agent_voice=agent, technician_voice=technician, number=TECHNICIAN, faults=faults)


async def hang_up_after_restart(house: House) -> None:
    """End each call of which the server has had a later stream for a while: a slow one may not have opened it yet."""
    while True:
        for call in house.carrier.live_calls:
            long = [
                stream for stream in call.stream_outcomes[1:]
                if min(map(len, stream.tracks.values())) > SECOND_MS * RATE_HZ // 1000
            ]  # fmt: skip
            if any(re.search(rf"stream opened .*stream_sid={stream.sid}", house.log) for stream in long):
                call.hang_up()
        await asyncio.sleep(0.2)


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultCalls]:
    with House(tmp_path_factory.mktemp("faults"), speed=SPEED) as house:
        scripts = {
            name: script(*(FAULTS_OF_CALL[name] if name in FAULTS_OF_CALL else (Fault(name),)))
            for name in PROMISES
        }
        outcomes = house.place_all(scripts, beside=lambda: hang_up_after_restart(house))
        calls = {name: house.closed_call(outcome.call_sid) for name, outcome in outcomes.items()}
        yield FaultCalls(house, outcomes, calls)


def test_every_fault_has_a_promise() -> None:
    assert set(PROMISES) - {"none"} | WITHOUT_CONVERSATION | REQUEST_FAULTS == set(FAULTS)


@pytest.mark.parametrize("name", PROMISES)
def test_fault_ends_with_its_promised_verdict(placed: FaultCalls, name: str) -> None:
    call, promise = placed.calls[name], PROMISES[name]
    assert (call["verdict"], {reason["code"] for reason in call["reasons"]}) == (
        promise.verdict,
        promise.codes,
    )
    assert bool(call["turns"]) is promise.transcript
    assert call["live_turns"]


@pytest.mark.parametrize("name", [name for name, promise in PROMISES.items() if promise.exact])
def test_layer_1_equals_the_sent_samples(placed: FaultCalls, name: str) -> None:
    for track, role in ((Track.INBOUND, "agent"), (Track.OUTBOUND, "technician")):
        kept, rate_hz = read(placed.house.layer(placed.calls[name], "live_8k", role))
        sent = mulaw.decode(placed.outcomes[name].sent[track])
        assert rate_hz == RATE_HZ
        np.testing.assert_array_equal(kept, sent)


@pytest.mark.parametrize("name", ["none", "media-truncated", "callback-lost"])
def test_layer_3_equals_the_carriers_recording(placed: FaultCalls, name: str) -> None:
    recorded = placed.outcomes[name].cloud
    assert recorded is not None
    whole, _ = soundfile.read(placed.house.layer(placed.calls[name], "cloud", None), dtype="int16")
    np.testing.assert_array_equal(whole, recorded)
    for channel, role in enumerate(("agent", "technician")):
        kept, _ = read(placed.house.layer(placed.calls[name], "cloud_channel", role))
        np.testing.assert_array_equal(kept, recorded[:, channel])


def test_restarted_stream_loses_only_the_interruption(placed: FaultCalls) -> None:
    first, second, *_ = placed.outcomes["socket-cut"].streams
    kept, _ = read(placed.house.layer(placed.calls["socket-cut"], "live_8k", "agent"))
    before = mulaw.decode(first.tracks[Track.INBOUND])
    after = mulaw.decode(second.tracks[Track.INBOUND])
    np.testing.assert_array_equal(kept[: before.size - RATE_HZ], before[:-RATE_HZ])
    np.testing.assert_array_equal(kept[-after.size + RATE_HZ :], after[RATE_HZ:])


def test_forged_requests_leave_no_call(placed: FaultCalls) -> None:
    outcome = placed.house.place(script(Fault("forged-signature")))
    assert outcome.refused
    assert placed.house.call(outcome.call_sid) is None
    assert {attempt for delivery in outcome.deliveries for attempt in delivery.attempts} == {403}


def test_log_contains_no_number_and_no_spoken_word(placed: FaultCalls) -> None:
    log = placed.house.log
    assert TECHNICIAN.lstrip("+") not in log
    assert "boiler" not in log


def read(path: Path) -> tuple[Any, int]:
    samples, rate_hz = soundfile.read(path, dtype="int16")
    return samples, rate_hz
