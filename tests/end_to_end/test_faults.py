"""Each fault that the stand-in knows ends in the state that is promised. Twenty-odd calls at once, on one server."""

from collections.abc import Iterator
from dataclasses import dataclass, field
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

RATE_HZ = 8000
VOICE_S = 14
SPEED = 2.5
"""Slower than other tests: what a busy machine does late must not look like a fault of seconds of call time."""


@dataclass(frozen=True)
class Promise:
    """`exact`: layer 1 holds every sample that was sent. `transcript`: there is a final one."""

    verdict: str
    codes: set[str] = field(default_factory=set)
    exact: bool = True
    transcript: bool = True


PROMISES = {
    "none": Promise("verified"),
    "lost": Promise("explained", {"frames_lost"}, exact=False),
    "late": Promise("explained", {"frames_lost"}, exact=False),
    "repeated": Promise("verified"),
    "reordered": Promise("verified"),
    "stall": Promise("verified"),
    "socket-cut": Promise("explained", {"stream_interrupted"}, exact=False),
    "socket-cut-and-return": Promise("explained", {"stream_interrupted"}, exact=False),
    "socket-open": Promise("verified"),
    "callback-lost": Promise("verified"),
    "callback-repeated": Promise("verified"),
    "callback-delayed": Promise("verified"),
    "callback-reordered": Promise("verified"),
    "media-truncated": Promise("verified"),
    "media-404": Promise("verified"),
    "media-429": Promise("verified"),
    "media-500": Promise("verified"),
    "wrong-duration": Promise("suspect", {"duration_differs"}),
    "absent": Promise("suspect", {"absent_despite_speech"}),
    "failed": Promise("explained", {"cloud_failed"}),
    "late-stream": Promise("explained", {"late_stream"}),
    "mono": Promise("explained", {"mono_recording"}),
}
STRUCK = {
    "none": (),
    "lost": (Fault("lost", 0.05),),
    "late-stream": (Fault("late-stream", 7),),
    "callback-lost": (Fault("callback-lost"), Fault("list-429", 1), Fault("list-slow", 1)),
}
AT_THE_DOOR = {"forged-signature", "busy", "no-answer"}
"""Faults that end a call before anybody speaks."""

OF_REQUESTS = {
    *("list-429", "list-500", "list-slow", "list-odd-rows", "fetch-429", "fetch-500", "fetch-slow"),
    *("delete-429", "delete-500", "delete-slow"),
}
"""Faults of single REST requests: `list-429` and `list-slow` strike with `callback-lost`, the others in the tests of what
sends those requests."""


@dataclass(frozen=True)
class Street:
    house: House
    outcomes: dict[str, CallOutcome]
    calls: dict[str, dict[str, Any]]


def script(*faults: Fault) -> CallScript:
    agent, technician = (load_voice(shipped_voice(role))[: VOICE_S * RATE_HZ] for role in Role)
    return CallScript(agent_voice=agent, technician_voice=technician, number=TECHNICIAN, faults=faults)


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with House(tmp_path_factory.mktemp("faults"), speed=SPEED) as house:
        scripts = {name: script(*(STRUCK[name] if name in STRUCK else (Fault(name),))) for name in PROMISES}
        outcomes = house.place_all(scripts)
        calls = {name: house.closed_call(outcome.call_sid) for name, outcome in outcomes.items()}
        yield Street(house, outcomes, calls)


def test_every_fault_has_a_promise() -> None:
    assert set(PROMISES) - {"none"} | AT_THE_DOOR | OF_REQUESTS == set(FAULTS)


@pytest.mark.parametrize("name", PROMISES)
def test_fault_ends_with_its_promised_verdict(street: Street, name: str) -> None:
    call, promise = street.calls[name], PROMISES[name]
    assert (call["verdict"], {reason["code"] for reason in call["reasons"]}) == (
        promise.verdict,
        promise.codes,
    )
    assert bool(call["turns"]) is promise.transcript
    assert call["live_turns"]


@pytest.mark.parametrize("name", [name for name, promise in PROMISES.items() if promise.exact])
def test_layer_1_equals_the_sent_samples(street: Street, name: str) -> None:
    for track, role in ((Track.INBOUND, "agent"), (Track.OUTBOUND, "technician")):
        kept, rate_hz = read(street.house.layer(street.calls[name], "live_8k", role))
        sent = mulaw.decode(street.outcomes[name].sent[track])
        assert rate_hz == RATE_HZ
        np.testing.assert_array_equal(kept, sent)


@pytest.mark.parametrize("name", ["none", "media-truncated", "callback-lost"])
def test_layer_3_equals_the_carriers_recording(street: Street, name: str) -> None:
    recorded = street.outcomes[name].cloud
    assert recorded is not None
    whole, _ = soundfile.read(street.house.layer(street.calls[name], "cloud", None), dtype="int16")
    np.testing.assert_array_equal(whole, recorded)
    for channel, role in enumerate(("agent", "technician")):
        kept, _ = read(street.house.layer(street.calls[name], "cloud_channel", role))
        np.testing.assert_array_equal(kept, recorded[:, channel])


def test_restarted_stream_loses_only_the_interruption(street: Street) -> None:
    first, second, *_ = street.outcomes["socket-cut"].streams
    kept, _ = read(street.house.layer(street.calls["socket-cut"], "live_8k", "agent"))
    before = mulaw.decode(first.tracks[Track.INBOUND])
    after = mulaw.decode(second.tracks[Track.INBOUND])
    np.testing.assert_array_equal(kept[: before.size - RATE_HZ], before[:-RATE_HZ])
    np.testing.assert_array_equal(kept[-after.size + RATE_HZ :], after[RATE_HZ:])


def test_forged_requests_leave_no_call(street: Street) -> None:
    outcome = street.house.place(script(Fault("forged-signature")))
    assert outcome.refused
    assert street.house.call(outcome.call_sid) is None
    assert {attempt for delivery in outcome.deliveries for attempt in delivery.attempts} == {403}


def test_log_contains_no_number_and_no_spoken_word(street: Street) -> None:
    log = street.house.log
    assert TECHNICIAN.lstrip("+") not in log
    assert "boiler" not in log


def read(path: Path) -> tuple[Any, int]:
    samples, rate_hz = soundfile.read(path, dtype="int16")
    return samples, rate_hz
