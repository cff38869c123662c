"""Media in processes of their own: the call's audio passes the server by. One that is killed: `test_read_in_turn.py`."""

import os
import signal
from pathlib import Path

import numpy as np
import soundfile

from callreel.audio import mulaw
from callreel.domain.call import Role, Track
from callreel.simulator.scenario import CallScript
from callreel.simulator.sound.voices import load_voice, shipped_voice
from tests.end_to_end.house import TECHNICIAN, House

WORKERS = {"CALLREEL_MEDIA_WORKERS": "2"}
RATE_HZ = 8000


def script(voice_s: int) -> CallScript:
    agent, technician = (load_voice(shipped_voice(role))[: voice_s * RATE_HZ] for role in Role)
    return CallScript(agent_voice=agent, technician_voice=technician, number=TECHNICIAN)


def metric(house: House, name: str) -> float | None:
    """A sample of /metrics, None where there is none."""
    for line in house.client.get("/metrics").text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    return None


def media_workers(house: House) -> list[int]:
    """Process ids of the server's media workers."""
    assert house.server is not None
    found = []
    for task in Path(f"/proc/{house.server.pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            if b"callreel.app.media_worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return found


def holder(house: House) -> int:
    """The worker that writes live layers."""
    for pid in media_workers(house):
        files = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
        if any(name.endswith("_8000Hz.wav") for name in files):
            return pid
    raise AssertionError("no media worker writes a layer")


def live_files(house: House) -> list[Path]:
    return sorted((house.data_dir / "audio_recordings").glob("*_8000Hz.wav"))


def test_calls_of_media_workers_are_kept_and_judged_as_any_and_waited_for(tmp_path: Path) -> None:
    with House(tmp_path, WORKERS) as house:
        assert len(media_workers(house)) == 2
        begun = [house.begin(script(6)) for _ in range(2)]
        # Each of two calls is with a worker of its own.
        house.until(
            lambda: [metric(house, f'callreel_media_worker_calls{{worker="{n}"}}') for n in (1, 2)] == [1, 1],
            30,
        )
        assert metric(house, "callreel_live_calls") == 2
        for outcome in [placed.result(60) for placed in begun]:
            call = house.closed_call(outcome.call_sid)
            assert call["verdict"] == "verified"
            assert call["live_turns"], "words came from the worker's engine"
            for role, track in ((Role.AGENT, Track.INBOUND), (Role.TECHNICIAN, Track.OUTBOUND)):
                kept, _ = soundfile.read(house.layer(call, "live_8k", role), dtype="int16")
                np.testing.assert_array_equal(kept, mulaw.decode(outcome.streams[0].tracks[track]))
        before = set(live_files(house))
        placed = house.begin(script(8))
        house.until(lambda: len(set(live_files(house)) - before) == 2, 30)
        # The server waits for what its workers have. As a terminal does it: the signal goes to them too.
        assert house.server is not None
        for pid in (*media_workers(house), house.server.pid):
            os.kill(pid, signal.SIGTERM)
        last = placed.result(60)
        assert house.server.wait(60) == 0
        kept_last = [soundfile.read(path, dtype="int16")[0] for path in set(live_files(house)) - before]
        for track in Track:
            sent = mulaw.decode(last.streams[0].tracks[track])
            assert any(np.array_equal(sent, samples) for samples in kept_last), "it was heard to its end"
        assert "Traceback" not in house.log
