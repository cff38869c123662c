"""Faults of the machine during a call: a running server loses nothing that it has accepted."""

import errno
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import soundfile

from callreel.audio import mulaw
from callreel.domain.call import Role, Track
from callreel.simulator.scenario import CallOutcome
from tests.end_to_end.bad_machine import BadMachine
from tests.end_to_end.house import House
from tests.end_to_end.live_files import RATE_HZ, script

VOICE_S = 12
HOUR_S = 3600


@contextmanager
def call_in_progress(house: House) -> Iterator[list[CallOutcome]]:
    """In the block, audio arrives; afterwards the call has ended and its outcome is in the list."""
    outcomes: list[CallOutcome] = []
    placing = threading.Thread(target=lambda: outcomes.append(house.place(script(VOICE_S))))
    placing.start()
    live = house.data_dir / "audio_recordings"
    house.until(lambda: len([p for p in live.glob("*_8000Hz.wav") if p.stat().st_size > RATE_HZ]) == 2, 30)
    yield outcomes
    placing.join()


def checked_call(house: House, outcome: CallOutcome) -> dict[str, Any]:
    """The call, after checking that its layers hold all that was sent and recorded."""
    call = house.closed_call(outcome.call_sid)
    for role, track in ((Role.AGENT, Track.INBOUND), (Role.TECHNICIAN, Track.OUTBOUND)):
        kept, _ = soundfile.read(house.layer(call, "live_8k", role), dtype="int16")
        np.testing.assert_array_equal(kept, mulaw.decode(outcome.streams[0].tracks[track]))
    assert (call["verdict"], call["reasons"]) == ("verified", [])
    assert call["transcript"]["revision"] == 1
    assert len([layer for layer in call["layers"] if layer["layer"] == "cloud"]) == 1
    return call


def ready(house: House) -> tuple[int, dict[str, str]]:
    try:
        answer = house.client.get("/health/ready")
    except httpx2.HTTPError:
        return 0, {}
    return answer.status_code, answer.json()["checks"]


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("error", "words"),
    [(errno.ENOSPC, ("full", "No space left")), (errno.EROFS, ("readonly", "Read-only"))],
    ids=["full", "read-only"],
)
def test_disk_failure_during_a_call_loses_nothing(tmp_path: Path, error: int, words: tuple[str, str]) -> None:
    """Audio and rows wait in memory, and the page and /health give the reason; afterwards everything is stored."""
    machine = BadMachine(tmp_path, tmp_path / "data")
    with House(tmp_path, machine.environment, speed=2.0) as house:
        with call_in_progress(house) as outcomes:
            machine.disk(error)
            house.until(lambda: ready(house)[0] == 503, 30)
            assert ready(house)[1]["folder"] == "failed"
            page = house.client.get("/operations").text
            assert any(word in page for word in words), page
            assert house.client.get("/health/live").status_code == 200
            machine.disk(0)
        checked_call(house, outcomes[0])
        house.until(lambda: ready(house)[0] == 200, 30)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_locked_database_during_a_call_loses_nothing(tmp_path: Path) -> None:
    """The lock lasts longer than the call: its end, finals and callbacks wait."""
    with House(tmp_path, speed=4.0) as house:
        with call_in_progress(house) as outcomes:
            holder = sqlite3.connect(house.data_dir / "app.db", isolation_level=None, check_same_thread=False)
            holder.execute("BEGIN IMMEDIATE")
            live = house.data_dir / "audio_recordings"
            before = sum(path.stat().st_size for path in live.iterdir())
            house.until(lambda: sum(path.stat().st_size for path in live.iterdir()) > before + 16_000, 30)
            threading.Timer(4.0, lambda: holder.execute("ROLLBACK")).start()
        checked_call(house, outcomes[0])
        holder.close()


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S], ids=["forward", "back"])
def test_clock_step_during_a_call_moves_no_position(tmp_path: Path, step_s: int) -> None:
    """Positions come from the stream, waits from the monotonic clock."""
    machine = BadMachine(tmp_path, tmp_path / "data")
    with House(tmp_path, machine.environment, speed=4.0) as house:
        with call_in_progress(house) as outcomes:
            machine.clock(step_s)
        call = checked_call(house, outcomes[0])
        ends_ms = [turn["end_ms"] for turn in call["turns"]]
        assert ends_ms and max(ends_ms) <= 1000 * (VOICE_S + 4)
