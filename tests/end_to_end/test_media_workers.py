"""Media workers: a call's audio bypasses the server process. A killed worker: `test_read_in_turn.py`."""

import os
import signal
from pathlib import Path

import numpy as np
import soundfile

from callreel.audio import mulaw
from callreel.domain.call import Role, Track
from tests.end_to_end.house import House
from tests.end_to_end.live_files import live_files, media_workers, metric, script

WORKERS = {"CALLREEL_MEDIA_WORKERS": "2"}


def test_calls_of_media_workers_are_captured_and_drained(tmp_path: Path) -> None:
    with House(tmp_path, WORKERS) as house:
        assert len(media_workers(house)) == 2
        placed_calls = [house.begin(script(6)) for _ in range(2)]
        # Each worker has one of the two calls.
        house.until(
            lambda: [metric(house, f'callreel_media_worker_calls{{worker="{n}"}}') for n in (1, 2)] == [1, 1],
            30,
        )
        assert metric(house, "callreel_live_calls") == 2
        for outcome in [placed.result(60) for placed in placed_calls]:
            call = house.closed_call(outcome.call_sid)
            assert call["verdict"] == "verified"
            assert call["live_turns"], "words came from the worker's engine"
            for role, track in ((Role.AGENT, Track.INBOUND), (Role.TECHNICIAN, Track.OUTBOUND)):
                kept, _ = soundfile.read(house.layer(call, "live_8k", role), dtype="int16")
                np.testing.assert_array_equal(kept, mulaw.decode(outcome.streams[0].tracks[track]))
        before = set(live_files(house))
        placed = house.begin(script(8))
        house.until(lambda: len(set(live_files(house)) - before) == 2, 30)
        first_block = _first_block(house, next(iter(set(live_files(house)) - before)))
        # The server waits for the calls of its workers. The signal goes to the workers too, as from a terminal.
        assert house.server is not None
        for pid in (*media_workers(house), house.server.pid):
            os.kill(pid, signal.SIGTERM)
        last = placed.result(60)
        assert house.server.wait(60) == 0
        kept_last = [soundfile.read(path, dtype="int16")[0] for path in set(live_files(house)) - before]
        for track in Track:
            sent = mulaw.decode(last.streams[0].tracks[track])
            assert any(np.array_equal(sent, samples) for samples in kept_last), "captured to the end"
        shortest = min(samples.size for samples in kept_last)
        mixed = sum(samples[:shortest].astype(np.int32) for samples in kept_last)
        assert first_block in mulaw.encode(np.clip(mixed, -32_768, 32_767).astype(np.int16))
        assert "Traceback" not in house.log


def _first_block(house: House, live_file: Path) -> bytes:
    """What the server gives to somebody who listens to a call that a worker records."""
    call_id = live_file.name.split("_")[1]
    with house.client.stream("GET", f"/calls/{call_id}/listen") as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/basic")
        return next(answer.iter_raw())
