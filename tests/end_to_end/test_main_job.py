"""The main job on real sockets and files: outgoing, incoming, refused, and what is stored of each."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soundfile

from callreel.audio import mulaw
from callreel.audio.resample import upsample_all
from callreel.domain.call import Direction, Track
from tests.end_to_end.house import ANSWER_S, CALLER_ID, TECHNICIAN, House
from tests.end_to_end.live_files import script

VOICE_S = 10


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("main-job")) as house:
        yield house


@pytest.mark.parametrize(
    ("direction", "agents_track"),
    [(Direction.OUTGOING, Track.INBOUND), (Direction.INCOMING, Track.OUTBOUND)],
)
def test_three_layers_hold_each_party_under_its_role(
    house: House, direction: Direction, agents_track: Track
) -> None:
    outcome = house.place(script(VOICE_S, direction=direction, our_number=CALLER_ID))
    call = house.closed_call(outcome.call_sid)
    assert (call["verdict"], call["reasons"], call["direction"]) == ("verified", [], direction.value)
    assert outcome.cloud is not None
    for role in ("agent", "technician"):
        track = agents_track if role == "agent" else _other(agents_track)
        sent = mulaw.decode(outcome.sent[track])
        live_8k, _ = soundfile.read(house.layer(call, "live_8k", role), dtype="int16")
        live_16k, rate_hz = soundfile.read(house.layer(call, "live_16k", role), dtype="int16")
        cloud, _ = soundfile.read(house.layer(call, "cloud_channel", role), dtype="int16")
        np.testing.assert_array_equal(live_8k, sent)
        assert rate_hz == 16_000
        np.testing.assert_array_equal(live_16k, upsample_all(sent))
        np.testing.assert_array_equal(cloud, outcome.cloud[:, 0 if track is Track.INBOUND else 1])


def test_summary_matches_the_files_of_the_call(house: House) -> None:
    call = house.closed_call(house.place(script(VOICE_S)).call_sid)
    assert {turn["role"] for turn in call["turns"]} == {"agent", "technician"}
    for turn in call["turns"] + call["live_turns"]:
        assert 0 <= turn["start_ms"] < turn["end_ms"] <= 20_000
    assert call["live_offset_ms"] in range(300, 4000)
    for layer in call["layers"]:
        path = house.data_dir / layer["path"]
        assert layer["size_bytes"] == path.stat().st_size
        assert layer["duration_ms"] == round(soundfile.info(path).duration * 1000)
        assert len(layer["sha256"]) == 64
    assert call["cost"]["total"] > 0
    assert_steps_are_listed_and_logged(house, call)


def assert_steps_are_listed_and_logged(house: House, call: dict[str, Any]) -> None:
    """The timeline of a whole call, and the log lines that a person looks for after a test call."""
    steps = [step["step"] for step in call["timeline"]]
    expected = [
        "placed",
        "twiml",
        "stream",
        "layers",
        "answered",
        "ended",
        "fetched",
        "transcribed",
        "verdict",
    ]
    assert [step for step in steps if step != "callback"] == expected
    assert steps.count("callback") == 2
    durations = {step["step"]: step["duration_ms"] for step in call["timeline"]}
    assert all(durations[step] > 0 for step in ("stream", "layers", "answered", "fetched", "transcribed"))
    lines = [line for line in house.log.splitlines() if call["call_sid"] in line or call["call_id"] in line]
    for event in ("call placed", "TwiML generated", "stream opened", "call answered", "call ended"):
        assert any(f": {event} " in line for line in lines), event
    [finished] = [line for line in lines if "recording callback" in line and "status=completed" in line]
    for field in (
        "recording_sid=RE",
        "duration_s=",
        "channels=2",
        "track=both",
        f"url={house.carrier.api_url}/",
    ):
        assert field in finished
    assert TECHNICIAN not in house.log


@pytest.mark.parametrize("number", ["+19005550199", "+4930123456", "911", "not a number", ""])
def test_forbidden_number_places_no_call(house: House, number: str) -> None:
    outcome = house.place(script(VOICE_S, number=number))
    assert outcome.refused
    assert outcome.streams == ()
    assert house.call(outcome.call_sid) is None


def test_callbacks_are_answered_with_204(house: House) -> None:
    outcome = house.place(script(VOICE_S))
    answers = [d.attempts for d in outcome.deliveries if not d.url.endswith("/voice")]
    assert answers and set(answers) == {(204,)}


def test_phrase_rules_raise_alerts_during_and_after_a_call(house: House) -> None:
    boiler = {"name": "Boiler", "phrases": ["the boil*"]}
    greeting = {"name": "Greeting", "phrases": ["good morning"], "role": "agent", "trigger": "missing"}
    for rule in (greeting, boiler):
        assert house.client.post("/api/v1/phrase-rules", json=rule).status_code == 201
    alerts: dict[str, list[dict[str, Any]]] = {}

    def are_raised() -> bool:  # a new rule is in force after two seconds
        call = house.closed_call(house.place(script(VOICE_S)).call_sid)
        alerts.update(
            {name: [one for one in call["alerts"] if one["rule"] == name] for name in ("Boiler", "Greeting")}
        )
        return bool(alerts["Boiler"])

    house.until(are_raised, ANSWER_S)
    assert [one["trigger"] for one in alerts["Greeting"]] == ["missing"]
    assert {one["text"] for one in alerts["Boiler"]} == {"the boiler"}
    assert len({(one["role"], one["start_ms"]) for one in alerts["Boiler"]}) == len(alerts["Boiler"])


def _other(track: Track) -> Track:
    return Track.OUTBOUND if track is Track.INBOUND else Track.INBOUND
