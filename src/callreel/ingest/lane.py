"""One party's way from frames to layers 1 and 2 while the call goes on.

A lane lives as long as its call; streams come and go on it. Between `begin` and `end` it places frames by their
timestamps, writes settled audio in blocks, and hands each block on to whoever listens.
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
from callreel.store.files.durable_files import sync_file, sync_folder
from callreel.store.files.growing_wav import GrowingWav
from callreel.store.files.retrying_wav import RetryingWav

REORDER_MS = 80
"""How long a gap is held open for frames out of order; with a block of 160 ms, a kill loses at most 240 ms."""
METER_MS = 160
TELL_EVERY_MS = 500

_NOTHING: Samples = np.zeros(0, np.int16)


class LaneListener(Protocol):
    """Who listens to a lane: 8 kHz samples as they settle, 16 kHz samples as they come out of the resampler.

    Samples are handed on as they are kept: nobody may change them.
    """

    def push(self, samples8k: Samples, samples16k: Samples) -> None: ...

    def pause(self) -> None:
        """The stream ended; what is open is to be closed."""
        ...


@dataclass(frozen=True, slots=True)
class LanePaths:
    """Where the two live layers of a role lie."""

    live_8k: Path
    live_16k: Path


class Lane:
    """Frames of one role in, layer 1 and layer 2 out.

    At most `block_ms` of settled audio waits in memory, besides what the jitter buffer holds back around a gap; that much
    can be lost to a killed process. Layer 2 lags by the resampler's delay and is made again from layer 1 after a kill.
    """

    __slots__ = (
        "_block_samples",
        "_listener",
        "_late",
        "_late_samples",
        "_newest",
        "_on_written",
        "_open",
        "_patience_ms",
        "_patience_samples",
        "_tell_at",
        "_timeline",
        "disk_lost_ms",
        "paths",
        "role",
        "samples",
    )

    def __init__(
        self,
        role: Role,
        paths: LanePaths,
        listener: LaneListener,
        *,
        block_ms: int,
        patience_ms: int = 0,
        on_written: Callable[[], None] = lambda: None,
    ) -> None:
        """`patience_ms`: how long layer 2 may lag behind layer 1, besides the resampler's delay, and layer 1's head.

        With patience whatever is placed at once is written at once: frames come in blocks then.

        `on_written` is called after a block, once each `TELL_EVERY_MS` of audio.
        """
        self.role = role
        self.paths = paths
        self._listener = listener
        self._patience_ms = patience_ms
        self._patience_samples = patience_ms * SAMPLES_PER_MS
        self._late: list[Samples] = []
        self._late_samples = 0
        self._tell_at = 0
        self._block_samples = 1 if patience_ms else block_ms * SAMPLES_PER_MS
        self._on_written = on_written
        self._timeline: JitterBuffer | None = None
        self._open: _OpenFiles | None = None
        self._newest: deque[Samples] = deque([_NOTHING], maxlen=max(1, METER_MS // block_ms))
        self.samples = 0
        """Samples in layer 1 so far."""
        self.disk_lost_ms = 0
        """Audio that the disk did not take in time, over all streams."""

    @property
    def is_heard(self) -> bool:
        """Whether somebody waits for its samples."""
        return self._patience_samples == 0

    @property
    def level_block(self) -> Samples:
        """The newest audio written, `METER_MS` of it or a block, for the level meter."""
        return np.concatenate(self._newest)

    @property
    def length_ms(self) -> int:
        """How far layer 1 reaches, rounded up."""
        return -(-self.samples // SAMPLES_PER_MS)

    def begin(self, origin_ms: int) -> None:
        """A stream starts whose timestamp 0 lies at `origin_ms` of the call, which is `length_ms` or later.

        What is missing up to there becomes silence.
        """
        self._open = _OpenFiles(
            RetryingWav(GrowingWav.open(self.paths.live_8k, TELEPHONE_HZ, header_lag_ms=self._patience_ms)),
            RetryingWav(GrowingWav.open(self.paths.live_16k, ASR_HZ)),
            Upsampler(0),
        )
        self._timeline = JitterBuffer(reorder_ms=REORDER_MS)
        self.samples = self._open.live_8k.samples
        missing = origin_ms * SAMPLES_PER_MS - self.samples
        if missing > 0:
            self._write(np.zeros(missing, np.int16))

    def place(self, frames: Sequence[Piece]) -> None:
        """Frames in the order in which they came. Nothing but placing happens until a block is full."""
        jitter_buffer = self._timeline
        if jitter_buffer is None:
            raise RuntimeError("a frame came for a lane without a stream")
        if jitter_buffer.place(frames) >= self._block_samples:
            self._write_settled(jitter_buffer)

    def end(self) -> JitterBufferCounts:
        """The stream is over: write what is left, close both files, answer what was counted.

        Does not wait for the disk, so that other calls do not either: `sync` in a thread comes next.
        """
        jitter_buffer, files = self._timeline, self._open
        if jitter_buffer is None or files is None:
            raise RuntimeError("a lane ended that had no stream")
        jitter_buffer.finish()
        self._write_settled(jitter_buffer)
        tail = np.concatenate([self._widened(files), files.upsampler.finish()])
        files.live_16k.append(tail)
        self._listener.push(_NOTHING, tail)
        self._listener.pause()
        files.close()
        self.disk_lost_ms += files.live_8k.lost_samples // SAMPLES_PER_MS
        self._timeline = self._open = None
        return jitter_buffer.counts

    def sync(self) -> None:
        """Make both files outlive a power cut. Blocking; in any thread, also while another stream has begun."""
        for path in (self.paths.live_8k, self.paths.live_16k):
            sync_file(path)
        sync_folder(self.paths.live_8k.parent)

    def _write_settled(self, jitter_buffer: JitterBuffer) -> None:
        # In steps: a gap of hours becomes as much silence.
        while settled := jitter_buffer.take():
            self._write(mulaw.decode(settled))

    def _write(self, samples8k: Samples) -> None:
        files = self._open
        assert files is not None
        files.live_8k.append(samples8k)
        self.samples += samples8k.size
        self._late.append(samples8k)
        self._late_samples += samples8k.size
        samples16k = _NOTHING
        if self._late_samples >= self._patience_samples:
            samples16k = self._widened(files)
            if samples16k.size:
                files.live_16k.append(samples16k)
        self._newest.append(samples8k)
        self._listener.push(samples8k, samples16k)
        if self.samples >= self._tell_at:
            self._tell_at = self.samples + TELL_EVERY_MS * SAMPLES_PER_MS
            self._on_written()

    def _widened(self, files: "_OpenFiles") -> Samples:
        """What has become certain of layer 2, given all of layer 1 that it had not had yet."""
        if not self._late:
            return _NOTHING
        late = self._late[0] if len(self._late) == 1 else np.concatenate(self._late)
        self._late.clear()
        self._late_samples = 0
        return files.upsampler.push(late)


@dataclass(frozen=True, slots=True)
class _OpenFiles:
    live_8k: RetryingWav
    live_16k: RetryingWav
    upsampler: Upsampler

    def close(self) -> None:
        self.live_8k.close(sync=False)
        self.live_16k.close(sync=False)
