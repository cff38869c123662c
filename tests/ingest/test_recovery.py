import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from callreel.audio.resample import upsample_all
from callreel.domain.call import CallState, Role
from callreel.domain.events import EventKind
from callreel.domain.ids import CallId
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.domain.transcript import TranscriptKind
from callreel.ingest.recovery import SOCKET_WAIT
from callreel.store.calls import calls, facts, layers, streams
from callreel.store.calls.streams import EndedBy
from callreel.store.files.growing_wav import GrowingWav
from callreel.store.transcripts import finals, transcripts
from tests.support.installation import (
    FRAME_MS,
    NOON,
    Installation,
    a_call,
    eventually_blocking,
    live_side,
    speech,
)
from tests.support.streaming_process import said
from tests.support.streams import AGENT, joined, layer, play, recovery, tokens

CALL = CallId("000000000001")
REPO = Path(__file__).parents[2]
MOST_LOST_MS = 250


def recovered(installation: Installation) -> int:
    return recovery(installation).at_start()


def files(installation: Installation) -> list[LayerFile]:
    with installation.database.read() as conn:
        return layers.of_call(conn, CALL)


@pytest.fixture
def killed(installation: Installation) -> Iterator[int]:
    """What a process left that was killed in the middle of a call; how many ms it had received."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.streaming_process", str(installation.folder)], cwd=REPO
    )
    placed = installation.folder / "placed"

    def received_ms() -> int:
        return int.from_bytes(placed.read_bytes(), "little") * FRAME_MS if placed.exists() else 0

    try:
        eventually_blocking(lambda: received_ms() > 7_000 or process.poll() is not None, 30)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    yield received_ms()


def test_call_whose_process_was_killed_is_closed_whole(installation: Installation, killed: int) -> None:
    assert {file.state for file in files(installation)} == {LayerState.RECORDING}
    with installation.database.read() as conn:
        kept = finals.of_call(conn, CALL)
    assert kept != []
    installation.clock.step(3_600)
    assert recovered(installation) == 1

    for role, seed in ((Role.AGENT, 0), (Role.TECHNICIAN, 100)):
        eight, sixteen = (file for file in files(installation) if file.role is role)
        layer8k = layer(installation.blobs.path(eight.path), 8_000)
        assert killed - MOST_LOST_MS <= layer8k.size / 8 <= killed + FRAME_MS
        assert np.array_equal(layer8k, said(seed)[: layer8k.size])
        assert np.array_equal(layer(installation.blobs.path(sixteen.path), 16_000), upsample_all(layer8k))
        for file in (eight, sixteen):
            assert (file.state, file.duration_ms) == (LayerState.REPAIRED, layer8k.size // 8)
            assert file.sha256 == installation.blobs.digest(file.path)

    with installation.database.read() as conn:
        (stream,) = streams.of_call(conn, CALL)
        live = transcripts.latest(conn, CALL, TranscriptKind.LIVE)
        assert layers.growing(conn) == []
        assert finals.of_call(conn, CALL) == kept
    assert stream.ended_by is EndedBy.SERVER
    assert installation.call(CALL).state is CallState.ENDED
    assert live is not None
    assert sum(len(turn.words) for turn in live.turns) == sum(len(final.words) for final in kept)
    published = [(e.kind, e.data.get("state")) for e in installation.published]
    assert published.count((EventKind.LAYER, "repaired")) == 4 and (EventKind.CALL, "ended") in published

    before = files(installation)
    assert recovered(installation) == 0, "the next start finds nothing to do"
    assert files(installation) == before


async def stop_during_a_call(installation: Installation) -> None:
    """Stop capture in order, which leaves whole files and a live call."""
    (token,) = tokens(installation)
    async with live_side(installation) as live:
        play(await joined(live, token), AGENT, speech(1_000))


def pretend_growing(installation: Installation) -> None:
    with installation.database.write() as conn:
        conn.exec_driver_sql("UPDATE layers SET state = 'recording', sha256 = NULL")


async def test_call_that_an_orderly_stop_left_is_ended(installation: Installation) -> None:
    await stop_during_a_call(installation)
    closed = files(installation)
    assert recovered(installation) == 1
    assert installation.call(CALL).state is CallState.ENDED
    assert files(installation) == closed, "closed files are left alone"
    with installation.database.read() as conn:
        assert transcripts.latest(conn, CALL, TranscriptKind.LIVE) is not None


async def test_call_that_ended_without_its_live_transcript_gets_it(installation: Installation) -> None:
    """The server stopped while finals were still being decoded; the workflows would wait for it forever."""
    await stop_during_a_call(installation)
    with installation.database.write() as conn:
        calls.set_state(conn, CALL, CallState.ENDED, NOON)
    assert recovered(installation) == 0
    with installation.database.read() as conn:
        assert transcripts.latest(conn, CALL, TranscriptKind.LIVE) is not None


def test_call_that_was_never_streamed_is_ended(installation: Installation) -> None:
    tokens(installation)
    assert recovered(installation) == 0, "its socket may be on its way"
    installation.clock.step(SOCKET_WAIT.total_seconds())
    assert recovered(installation) == 1
    assert installation.call(CALL).state is CallState.ENDED


def test_new_installation_has_nothing_to_recover(installation: Installation) -> None:
    assert recovered(installation) == 0
    assert installation.published == []


@pytest.mark.parametrize(
    ("damage", "fact"), [("gone", "layer_missing"), ("empty", "layer_damaged"), ("other", "layer_damaged")]
)
async def test_damaged_file_does_not_prevent_the_start(
    installation: Installation, damage: str, fact: str, caplog: pytest.LogCaptureFixture
) -> None:
    await stop_during_a_call(installation)
    pretend_growing(installation)
    lost = next(
        file for file in files(installation) if (file.layer, file.role) == (Layer.LIVE_8K, Role.AGENT)
    )
    path = installation.blobs.path(lost.path)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"" if damage == "empty" else b"no sound at all, but long enough for a header" * 2)
    with caplog.at_level(logging.ERROR):
        assert recovered(installation) == 1
    assert "layer" in caplog.text
    kept = files(installation)
    assert lost.path not in [file.path for file in kept]
    assert {file.state for file in kept} == {LayerState.REPAIRED} and len(kept) == 3
    with installation.database.read() as conn:
        (noted,) = facts.of_call(conn, CALL)
    assert (noted.kind, noted.data["path"]) == (fact, lost.path)
    assert damage == "gone" or path.exists(), "what is damaged is left for a person to look at"
    assert recovered(installation) == 0


async def test_layer_2_is_completed_from_layer_1(installation: Installation) -> None:
    await stop_during_a_call(installation)
    pretend_growing(installation)
    eight, sixteen = (file for file in files(installation) if file.role is Role.AGENT)
    path = installation.blobs.path(sixteen.path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 6_001])
    recovered(installation)
    assert path.read_bytes() == whole
    assert np.array_equal(
        layer(path, 16_000), upsample_all(layer(installation.blobs.path(eight.path), 8_000))
    )


def test_layer_without_a_row_gets_one(installation: Installation) -> None:
    """Killed between making the files and keeping their rows. A stranger's file is left alone."""
    call = a_call(installation)
    folder = installation.blobs.root / "audio_recordings"
    for rate_hz in (8_000, 16_000):
        path = folder / f"agent_{call.id}_20261122T120000Z_{rate_hz}Hz.wav"
        with GrowingWav.open(path, rate_hz) as wav:
            if rate_hz == 8_000:
                wav.append(speech(300))
    (folder / "agent_ffffffffffff_20261122T120000Z_8000Hz.wav").write_bytes(b"another's")
    recovered(installation)
    kept = {file.layer: file for file in files(installation)}
    assert {file.state for file in kept.values()} == {LayerState.REPAIRED}
    assert (kept[Layer.LIVE_8K].duration_ms, kept[Layer.LIVE_16K].duration_ms) == (300, 300)
    assert len(kept) == 2
