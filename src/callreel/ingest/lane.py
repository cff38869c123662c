"""One party's audio from frames to layers 1 and 2 during the call.

A lane lives as long as its call; streams join and leave it. Between `begin` and `end` it places frames by their
timestamps, writes settled audio in blocks, and passes each block to its listener.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from callreel.audio import mulaw
from callreel.audio.jitter_buffer import JitterBuffer, JitterBufferCounts, Piece
from callreel.audio.resample import Upsampler
from callreel.audio.samples import ASR_HZ, SAMPLES_PER_MS, TELEPHONE_HZ, Samples
from callreel.domain.call import Role
from callreel.domain.measures import Spoken
from callreel.ingest.paused_time import PausedTime
from callreel.store.encryption.sealed_file import FileKeys
from callreel.store.files.durable_files import sync_file, sync_folder
from callreel.store.files.growing_wav import GrowingWav, RetryingWav

REORDER_MS = 80
"""How long a gap is held open for frames out of order; with a block of 160 ms, a kill loses at most 240 ms."""
METER_MS = 160
LEVEL_EVERY_MS = 500
_SILENCE_BLOCK = np.zeros(30 * TELEPHONE_HZ, np.int16)
"""The silence between two streams is written in such blocks: a stream may return after hours."""

_NOTHING: Samples = np.zeros(0, np.int16)


class LaneListener(Protocol):
    """Consumes a lane's audio: 8 kHz samples as they settle, 16 kHz samples as the resampler gives them out.

    The lane keeps the arrays that it passes on: a listener must not change them.
    """

    @property
    def spoken(self) -> Spoken | None:
        """What the party has said so far; None if the listener detects no speech."""
        ...

    def push(self, samples8k: Samples, samples16k: Samples) -> None: ...

    def pause(self) -> None:
        """The stream ended: close the open segment."""
        ...


@dataclass(frozen=True, slots=True)
class LanePaths:
    """The files of the two live layers of a role."""

    live_8k: Path
    live_16k: Path


@dataclass(frozen=True, slots=True)
class _OpenStream:
    live_8k: RetryingWav
    live_16k: RetryingWav
    upsampler: Upsampler
    jitter_buffer: JitterBuffer


class Lane:
    """Frames of one role in, layer 1 and layer 2 out.

    At most `block_ms` of settled audio waits in memory, besides what the jitter buffer holds back around a gap; a killed
    process loses that much. Layer 2 lags by the resampler's delay; recovery completes it from layer 1.
    """

    def __init__(
        self,
        role: Role,
        paths: LanePaths,
        listener: LaneListener,
        *,
        block_ms: int,
        max_lag_ms: int = 0,
        paused: PausedTime | None = None,
        on_progress: Callable[[], None] = lambda: None,
        keys: FileKeys | None = None,
    ) -> None:
        """`max_lag_ms`: how far layer 2 and layer 1's header may lag, besides the resampler's delay.

        With a lag whatever is placed at once is written at once, since frames then arrive in blocks already.
        `paused` are the stretches of the call that are written as silence. `on_progress` is called each `LEVEL_EVERY_MS` of audio.
        With `keys` new files are encrypted.
        """
        self.role = role
        self.paths = paths
        self._listener = listener
        self._max_lag_ms = max_lag_ms
        self._unresampled: list[Samples] = []
        self._unresampled_samples = 0
        self._next_progress = 0
        self._block_samples = 1 if max_lag_ms else block_ms * SAMPLES_PER_MS
        self._on_progress = on_progress
        self._paused = paused or PausedTime()
        self._keys = keys
        self._open: _OpenStream | None = None
        self._newest: deque[Samples] = deque([_NOTHING], maxlen=max(1, METER_MS // block_ms))
        self.samples = 0
        """Samples in layer 1 so far."""
        self.disk_lost_ms = 0
        """Audio that the disk did not take in time, over all streams."""

    @property
    def transcribed(self) -> bool:
        """Whether its listener needs samples without delay."""
        return self._max_lag_ms == 0

    @property
    def spoken(self) -> Spoken | None:
        """What the party has said so far; None where no speech is detected."""
        return self._listener.spoken

    @property
    def level_block(self) -> Samples:
        """The newest audio written, `METER_MS` of it or a block, for the level meter."""
        return np.concatenate(self._newest)

    @property
    def length_ms(self) -> int:
        """The length of layer 1, rounded up."""
        return -(-self.samples // SAMPLES_PER_MS)

    @property
    def reached(self) -> int:
        """The position in samples up to which frames have arrived, written or not."""
        return self.samples + (self._open.jitter_buffer.reached if self._open else 0)

    def begin(self, origin_ms: int) -> None:
        """A stream starts whose timestamp 0 lies at `origin_ms` of the call, at `length_ms` or later.

        The gap up to there becomes silence.
        """
        self._open = _OpenStream(
            RetryingWav(
                GrowingWav.open(
                    self.paths.live_8k, TELEPHONE_HZ, header_lag_ms=self._max_lag_ms, keys=self._keys
                )
            ),
            RetryingWav(GrowingWav.open(self.paths.live_16k, ASR_HZ, keys=self._keys)),
            Upsampler(0),
            JitterBuffer(reorder_ms=REORDER_MS),
        )
        self.samples = self._open.live_8k.samples
        end = origin_ms * SAMPLES_PER_MS
        while self.samples < end:
            self._write(self._open, _SILENCE_BLOCK[: end - self.samples])

    def place(self, frames: Sequence[Piece]) -> None:
        """Take frames in the order of arrival. They are only placed until a block is full."""
        stream = self._open
        if stream is None:
            raise RuntimeError("a frame was placed on a lane without a stream")
        ready = stream.jitter_buffer.place(frames)
        if ready >= self._block_samples:
            self._write_settled(stream, ready)

    def end(self) -> JitterBufferCounts:
        """The stream ended: write the rest, close both files, return the counts.

        Does not sync to disk, so that other calls do not wait for it: `sync` follows in a thread.
        """
        stream = self._open
        if stream is None:
            raise RuntimeError("a lane without a stream was ended")
        self._write_settled(stream, stream.jitter_buffer.finish())
        tail = np.concatenate([self._resampled(stream), stream.upsampler.finish()])
        stream.live_16k.append(tail)
        self._listener.push(_NOTHING, tail)
        self._listener.pause()
        stream.live_8k.close(sync=False)
        stream.live_16k.close(sync=False)
        self.disk_lost_ms += stream.live_8k.lost_samples // SAMPLES_PER_MS
        self._open = None
        return stream.jitter_buffer.counts

    def sync(self) -> None:
        """Make both files survive a power cut. Blocking; in any thread, also while another stream has begun."""
        for path in (self.paths.live_8k, self.paths.live_16k):
            sync_file(path)
        sync_folder(self.paths.live_8k.parent)

    def _write_settled(self, stream: _OpenStream, ready: int) -> None:
        while ready > 0:  # once, except after a gap of more than 30 s, which becomes as much silence
            settled = stream.jitter_buffer.take()
            ready -= len(settled)
            self._write(stream, mulaw.decode(settled))

    def _write(self, stream: _OpenStream, samples8k: Samples) -> None:
        if self._paused.stretches:
            samples8k = self._paused.silenced(self.samples, samples8k)
        stream.live_8k.append(samples8k)
        self.samples += samples8k.size
        self._unresampled.append(samples8k)
        self._unresampled_samples += samples8k.size
        samples16k = _NOTHING
        if self._unresampled_samples >= self._max_lag_ms * SAMPLES_PER_MS:
            samples16k = self._resampled(stream)
            if samples16k.size:
                stream.live_16k.append(samples16k)
        self._newest.append(samples8k)
        self._listener.push(samples8k, samples16k)
        if self.samples >= self._next_progress:
            self._next_progress = self.samples + LEVEL_EVERY_MS * SAMPLES_PER_MS
            self._on_progress()

    def _resampled(self, stream: _OpenStream) -> Samples:
        """What the resampler gives out for the part of layer 1 that it has not had yet."""
        waiting = self._unresampled
        if not waiting:
            return _NOTHING
        samples8k = waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
        waiting.clear()
        self._unresampled_samples = 0
        return stream.upsampler.push(samples8k)
