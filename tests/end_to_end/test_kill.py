"""kill -9 during a call: received audio is kept, playable and marked, and gets its verdict after the next start."""

import threading
import time
from pathlib import Path

import numpy as np
import soundfile

from callreel.audio import mulaw
from callreel.audio.resample import upsample_all
from callreel.domain.call import Role, Track
from callreel.simulator.scenario import CallOutcome, CallScript
from tests.end_to_end.house import House
from tests.end_to_end.live_files import LOST_MS_MAX, RATE_HZ, codes, live_files, script


def begin(house: House, call: CallScript) -> tuple[threading.Thread, list[CallOutcome]]:
    outcomes: list[CallOutcome] = []
    placing = threading.Thread(target=lambda: outcomes.append(house.place(call)))
    placing.start()
    return placing, outcomes


def test_killed_server_loses_a_bounded_amount_of_audio(tmp_path: Path) -> None:
    """In real time, so that the bound on lost audio applies."""
    with House(tmp_path, speed=1.0) as house:
        placing, outcomes = begin(house, script(8))
        house.until(lambda: len(live_files(house)) == 2, 30)
        until = time.monotonic() + 4
        while time.monotonic() < until:
            for path in live_files(house):
                assert soundfile.info(path).samplerate == RATE_HZ, "playable at any instant"
            time.sleep(0.05)
        received_ms = house.kill_server()
        at_the_kill = {path: soundfile.info(path).frames for path in live_files(house)}
        house.start_server()
        placing.join()
        call = house.closed_call(outcomes[0].call_sid)
        first = outcomes[0].streams[0]
        for role, track in ((Role.AGENT, Track.INBOUND), (Role.TECHNICIAN, Track.OUTBOUND)):
            path = house.layer(call, "live_8k", role)
            kept, _ = soundfile.read(path, dtype="int16")
            sent = mulaw.decode(first.tracks[track])
            np.testing.assert_array_equal(kept, sent[: kept.size])
            assert kept.size >= at_the_kill[path]
            assert kept.size >= 8 * (received_ms[first.sid] - LOST_MS_MAX)
            wide, _ = soundfile.read(house.layer(call, "live_16k", role), dtype="int16")
            np.testing.assert_array_equal(wide, upsample_all(kept))
        states = {layer["state"] for layer in call["layers"] if layer["layer"].startswith("live")}
        assert states == {"repaired"}
        assert call["verdict"] == "explained"
        assert "stream_cut" in codes(call)
        assert call["turns"], "the recording is fetched and transcribed all the same"


def test_interrupted_stages_are_finished_once(tmp_path: Path) -> None:
    slow = {"CALLREEL_ENGINE_OPTIONS": "delay_s=0.7,text=please check the boiler"}
    with House(tmp_path, slow) as house:
        outcome = house.place(script(6))

        def transcribing() -> bool:
            call = house.call(outcome.call_sid) or {}
            work = (call.get("recording") or {}).get("work") or []
            return {"workflow": "transcribe", "state": "running"} in work

        house.until(transcribing, 30)
        house.kill_server()
        house.start_server()
        call = house.closed_call(outcome.call_sid)
        assert call["verdict"] == "verified"
        assert call["transcript"]["revision"] == 1
        assert [layer["layer"] for layer in call["layers"]].count("cloud") == 1
        kept = sorted(path.name for path in (house.data_dir / "twilio_recordings").iterdir())
        assert len(kept) == 3, kept
