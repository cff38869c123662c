from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callreel.audio import mulaw
from callreel.audio.resample import upsample_all
from callreel.audio.samples import Samples
from callreel.domain.call import Role, Track
from callreel.ingest.lane import REORDER_MS, Lane, LanePaths
from callreel.twilio.stream import Frame
from tests.support.installation import FRAME_MS, frames, silence, speech
from tests.support.streams import layer

BLOCK_MS = 160


class Listening:
    """Records the audio that a lane passes on."""

    def __init__(self) -> None:
        self.pushed8k: list[Samples] = []
        self.pushed16k: list[Samples] = []
        self.pauses_at: list[int] = []

    spoken = None

    def push(self, samples8k: Samples, samples16k: Samples) -> None:
        self.pushed8k.append(samples8k)
        self.pushed16k.append(samples16k)

    def pause(self) -> None:
        self.pauses_at.append(sum(part.size for part in self.pushed16k))


def frame(timestamp_ms: int, payload: bytes) -> Frame:
    return Frame(Track.INBOUND, timestamp_ms, payload)


@contextmanager
def a_lane() -> Iterator[tuple[Lane, Listening]]:
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        listening = Listening()
        paths = LanePaths(Path(folder) / "agent_8000Hz.wav", Path(folder) / "agent_16000Hz.wav")
        yield Lane(Role.AGENT, paths, listening, block_ms=BLOCK_MS), listening


def test_layer_1_is_what_was_sent_and_layer_2_is_made_of_it() -> None:
    said = np.concatenate([speech(1_010), silence(500), speech(770, seed=2)])
    with a_lane() as (lane, listening):
        lane.begin(0)
        for timestamp_ms, payload in frames(said):
            lane.place([frame(timestamp_ms, payload)])
        counts = lane.end()
        layer8k, layer16k = layer(lane.paths.live_8k, 8_000), layer(lane.paths.live_16k, 16_000)
    assert np.array_equal(layer8k, said)
    assert np.array_equal(layer16k, upsample_all(layer8k))
    assert (counts.frames, counts.gaps) == (len(frames(said)), 0)
    assert np.array_equal(np.concatenate(listening.pushed8k), layer8k)
    assert np.array_equal(np.concatenate(listening.pushed16k), layer16k)
    assert listening.pauses_at == [layer16k.size], "paused after the last sample"


def test_missing_frames_become_silence_of_their_length() -> None:
    said = speech(2_000)
    with a_lane() as (lane, _):
        lane.begin(0)
        for timestamp_ms, payload in frames(said):
            if not 600 <= timestamp_ms < 833:
                lane.place([frame(timestamp_ms, payload)])
        counts = lane.end()
        layer8k = layer(lane.paths.live_8k, 8_000)
    expected = said.copy()
    expected[600 * 8 : 840 * 8] = 0
    assert np.array_equal(layer8k, expected)
    assert (counts.gaps, counts.gap_ms) == (1, 240)


def test_second_stream_continues_the_same_files_after_silence() -> None:
    first, second = speech(1_000), speech(600, seed=2)
    with a_lane() as (lane, listening):
        for origin_ms, said in ((0, first), (2_500, second)):
            lane.begin(origin_ms)
            for timestamp_ms, payload in frames(said):
                lane.place([frame(timestamp_ms, payload)])
            lane.end()
        layer8k, layer16k = layer(lane.paths.live_8k, 8_000), layer(lane.paths.live_16k, 16_000)
    padded = np.concatenate([silence(1_500), second])
    assert np.array_equal(layer8k, np.concatenate([first, padded]))
    # Each stream has a resampler of its own.
    assert np.array_equal(layer16k, np.concatenate([upsample_all(first), upsample_all(padded)]))
    assert listening.pauses_at == [first.size * 2, layer16k.size]


def test_second_stream_with_an_early_origin_overwrites_nothing() -> None:
    first, second = speech(1_000), speech(400, seed=2)
    with a_lane() as (lane, _):
        for origin_ms, said in ((0, first), (700, second)):
            lane.begin(origin_ms)
            for timestamp_ms, payload in frames(said):
                lane.place([frame(timestamp_ms, payload)])
            lane.end()
        assert np.array_equal(layer(lane.paths.live_8k, 8_000), np.concatenate([first, second]))


def test_stream_that_begins_late_has_silence_before_it() -> None:
    with a_lane() as (lane, _):
        lane.begin(300)
        lane.end()
        assert np.array_equal(layer(lane.paths.live_8k, 8_000), silence(300))
        assert np.array_equal(layer(lane.paths.live_16k, 16_000), silence(600))


def test_silence_between_streams_is_written_in_bounded_blocks() -> None:
    said = speech(200)
    with a_lane() as (lane, listening):
        lane.begin(0)
        lane.place([frame(*each) for each in frames(said)])
        lane.end()
        lane.begin(95_010)
        lane.place([frame(*each) for each in frames(said)])
        lane.end()
        layer8k, layer16k = layer(lane.paths.live_8k, 8_000), layer(lane.paths.live_16k, 16_000)
    assert np.array_equal(layer8k, np.concatenate([said, silence(94_810), said]))
    assert layer16k.size == 2 * layer8k.size
    assert max(part.size for part in listening.pushed8k) == 30 * 8_000


@given(
    order=st.permutations(range(40)),
    disorder=st.integers(0, 39),
    lost=st.sets(st.integers(0, 39), max_size=12),
    repeated=st.sets(st.integers(0, 39), max_size=5),
)
@settings(max_examples=40, deadline=None)
def test_unwritten_audio_is_bounded_by_block_and_reordering(
    order: list[int], disorder: int, lost: set[int], repeated: set[int]
) -> None:
    said = frames(speech(800))
    sent = [*order[:disorder], *(n for n in range(40) if n not in order[:disorder])]
    with a_lane() as (lane, _):
        lane.begin(0)
        placed: set[int] = set()
        for number in sent:
            if number in lost:
                continue
            for _ in range(2 if number in repeated else 1):
                lane.place([frame(*said[number])])
            placed.add(number)
            on_disk = (lane.paths.live_8k.stat().st_size - 44) // 2
            assert on_disk == lane.samples
            unwritten_ms = sum(FRAME_MS for n in placed if n * FRAME_MS * 8 >= on_disk)
            assert unwritten_ms <= BLOCK_MS + REORDER_MS
        lane.end()
        layer8k = layer(lane.paths.live_8k, 8_000)
    whole = mulaw.decode(b"".join(payload for _, payload in said))
    last = max(placed, default=-1)
    assert layer8k.size == (last + 1) * FRAME_MS * 8
    for start in range(0, layer8k.size, FRAME_MS * 8):
        piece = layer8k[start : start + FRAME_MS * 8]
        assert not piece.any() or np.array_equal(piece, whole[start : start + FRAME_MS * 8])


def test_misuse_of_a_lane_raises() -> None:
    with a_lane() as (lane, _):
        with pytest.raises(RuntimeError):
            lane.place([frame(0, b"\xff" * 160)])
        with pytest.raises(RuntimeError):
            lane.end()
