"""Calls without live transcription, whose sockets are read in batches: kill -9 and SIGTERM, on PostgreSQL.

The tests kill a server that reads the sockets itself, and a media worker, whose calls another one continues. They run in
real time, so that the bound on lost audio applies.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
import soundfile

from callreel.audio import mulaw
from callreel.audio.resample import upsample_all
from callreel.domain.call import Role, Track
from callreel.simulator.scenario import CallOutcome
from tests.end_to_end.house import House
from tests.end_to_end.live_files import (
    LOST_MS_MAX,
    RATE_HZ,
    codes,
    holder,
    live_files,
    media_workers,
    metric,
    script,
)
from tests.support.postgres import PostgresServer, postgres_server

ROLES = ((Role.AGENT, Track.INBOUND), (Role.TECHNICIAN, Track.OUTBOUND))
PLAYABLE_S = 3.0
STOPS_WITHIN_S = 25.0
"""SIGTERM to exit: a second of drain, five for stages, five for rows, and a busy machine."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


def untranscribed(postgres: PostgresServer, **more: str) -> dict[str, str]:
    return {"CALLREEL_DATABASE_URL": postgres.new_url(), "CALLREEL_LIVE_TRANSCRIPT": "false", **more}


def listen(house: House, voice_s: int) -> Future[CallOutcome]:
    """A call whose files were playable for `PLAYABLE_S`."""
    going = house.begin(script(voice_s))
    house.until(lambda: len(live_files(house)) == 2, 30)
    until = time.monotonic() + PLAYABLE_S
    while time.monotonic() < until:
        for path in live_files(house):
            assert soundfile.info(path).samplerate == RATE_HZ, "playable at any instant"
        time.sleep(0.05)
    return going


def test_killed_server_loses_a_bounded_amount_of_audio(tmp_path: Path, postgres: PostgresServer) -> None:
    with House(tmp_path, untranscribed(postgres), speed=1.0) as house:
        going = listen(house, 6)
        received_ms = house.kill_server()
        at_the_kill = {path: soundfile.info(path).frames for path in live_files(house)}
        house.start_server()
        outcome = going.result(60)
        call = house.closed_call(outcome.call_sid)
        for role, track in ROLES:
            path = house.layer(call, "live_8k", role)
            kept, _ = soundfile.read(path, dtype="int16")
            stream = outcome.streams[0]
            sent = mulaw.decode(stream.tracks[track])
            np.testing.assert_array_equal(kept, sent[: kept.size])
            assert kept.size >= max(at_the_kill[path], 8 * (received_ms[stream.sid] - LOST_MS_MAX))
            wide, _ = soundfile.read(house.layer(call, "live_16k", role), dtype="int16")
            np.testing.assert_array_equal(wide, upsample_all(kept))
        assert call["verdict"] == "explained" and "stream_cut" in codes(call), call["reasons"]


def test_call_of_a_killed_worker_continues_on_another(tmp_path: Path, postgres: PostgresServer) -> None:
    with House(tmp_path, untranscribed(postgres, CALLREEL_MEDIA_WORKERS="2"), speed=1.0) as house:
        going = listen(house, 12)
        workers = set(media_workers(house))
        received_ms = house.kill(holder(house))
        house.until(lambda: len(set(media_workers(house)) - workers) == 1, 30)
        outcome = going.result(60)
        assert len(outcome.streams) == 2, "the carrier was asked for another stream"
        call = house.closed_call(outcome.call_sid)
        for role, track in ROLES:
            kept, _ = soundfile.read(house.layer(call, "live_8k", role), dtype="int16")
            before, after = (mulaw.decode(stream.tracks[track]) for stream in outcome.streams)
            size = 8 * (received_ms[outcome.streams[0].sid] - LOST_MS_MAX)
            assert size > 0
            np.testing.assert_array_equal(kept[:size], before[:size])
            np.testing.assert_array_equal(kept[-after.size :], after)
        assert call["verdict"] == "explained" and "stream_interrupted" in codes(call), call["reasons"]
        house.until(lambda: house.client.get("/health").status_code == 200, 30)
        assert metric(house, 'callreel_events_total{event="media_workers_restarted"}') == 1


def test_server_stops_in_time_during_a_long_transcription(tmp_path: Path, postgres: PostgresServer) -> None:
    settings = untranscribed(
        postgres, CALLREEL_ENGINE_OPTIONS="delay_s=120,text=please check the boiler",
        CALLREEL_MAX_CALLS="1", CALLREEL_DRAIN_TIMEOUT_S="1",
    )  # fmt: skip
    with House(tmp_path, settings) as house:
        first = house.place(script(3))

        def transcribing() -> bool:
            call = house.call(first.call_sid) or {}
            work = (call.get("recording") or {}).get("work") or []
            return {"workflow": "transcribe", "state": "running"} in work

        house.until(transcribing, 30)
        before = set(live_files(house))
        going = house.begin(script(43))
        house.until(lambda: len(set(live_files(house)) - before) == 2, 30)
        assert house.server is not None
        house.server.terminate()
        assert house.server.wait(STOPS_WITHIN_S) == 0, house.log
        assert "Traceback" not in house.log
        for path in set(live_files(house)) - before:
            assert soundfile.info(path).samplerate == RATE_HZ
        settings["CALLREEL_ENGINE_OPTIONS"] = "text=please check the boiler"
        house.start_server()
        call = house.closed_call(first.call_sid)
        assert call["verdict"] == "verified" and call["transcript"]["revision"] == 1
        assert house.closed_call(going.result(60).call_sid)["turns"]
