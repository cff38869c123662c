"""One recording at the carrier: its options, its pauses, and its file, made from a leg's audio.

Channel 1 is the parent leg's own audio (the inbound track), channel 2 what is sent to it (reference/twilio.md, section
2.1); a one-sided recording is always mono (section 1.2). Positions are ms of call time.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from callreel.audio.samples import TELEPHONE_HZ, Samples
from callreel.audio.wav import header
from callreel.domain.call import Track
from callreel.simulator.faults import PendingFaults
from callreel.simulator.sound.leg_audio import LegAudio

_QUIET = 100
"""`trim-silence` removes samples below this level, about -50 dBFS."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A paused stretch. It is cut out of the file if `skip` is set, and silence in the file otherwise."""

    from_ms: int
    to_ms: int | None
    skip: bool


@dataclass(slots=True, eq=False)
class CloudRecording:
    """`status` is the carrier's: in-progress, paused, stopped, processing, completed, absent, failed, deleted.

    `samples` [n] or [n, 2] exist while it is completed. A deleted recording keeps its `duration_ms`. `faults` are those
    that its requests still have to show.
    """

    sid: str
    call_sid: str
    began_at: datetime
    start_ms: int
    channels: int = 2
    track: str = "both"
    trim: bool = False
    source: str = "StartCallRecordingTwiML"
    name: str | None = None
    status: str = "in-progress"
    end_ms: int | None = None
    updated_at: datetime | None = None
    error_code: int | None = None
    pauses: list[Pause] = field(default_factory=list)
    samples: Samples | None = None
    faults: PendingFaults = field(default_factory=PendingFaults)
    duration_ms: int = 0

    @property
    def ended(self) -> bool:
        return self.end_ms is not None

    @property
    def paused(self) -> bool:
        return bool(self.pauses) and self.pauses[-1].to_ms is None

    def pause(self, at_ms: int, *, skip: bool) -> None:
        if not self.paused:
            self.pauses.append(Pause(at_ms, None, skip))
            self.status = "paused"

    def resume(self, at_ms: int) -> None:
        if self.paused:
            last = self.pauses[-1]
            self.pauses[-1] = Pause(last.from_ms, max(at_ms, last.from_ms), last.skip)
            self.status = "in-progress"

    def end(self, at_ms: int) -> None:
        """Stop recording at `at_ms`. `process` makes the file."""
        self.resume(at_ms)
        self.end_ms = max(at_ms, self.start_ms)
        self.status = "stopped"

    def process(self, audio: LegAudio) -> None:
        """Make the file from the leg's audio."""
        end_ms = self.end_ms if self.end_ms is not None else self.start_ms
        lanes = [self._lane(audio, track, end_ms) for track in self._tracks()]
        mixed = lanes[0] if len(lanes) == 1 else _join(lanes, self.channels)
        self.samples = _trimmed(mixed) if self.trim else mixed
        self.duration_ms = len(self.samples) * 1000 // TELEPHONE_HZ

    def delete(self) -> None:
        """Delete the audio; the metadata remains."""
        self.status, self.samples, self.updated_at = "deleted", None, datetime.now(UTC)

    def wav(self, channels: int | None = None) -> bytes:
        """The file, in `channels` (None: as it was made). Raises ValueError for two channels of a mono recording."""
        if self.samples is None:
            raise ValueError("the recording is not completed")
        samples = self.samples
        if channels == 2 and samples.ndim == 1:
            raise ValueError("the recording has one channel")
        if channels == 1 and samples.ndim == 2:
            samples = _join([samples[:, 0], samples[:, 1]], 1)
        body = np.ascontiguousarray(samples, dtype="<i2").tobytes()
        return header(len(body), TELEPHONE_HZ, 1 if samples.ndim == 1 else 2) + body

    def _tracks(self) -> tuple[Track, ...]:
        return tuple(Track) if self.track == "both" else (Track(self.track),)

    def _lane(self, audio: LegAudio, track: Track, end_ms: int) -> Samples:
        lane = audio.samples(track, self.start_ms, end_ms).copy()
        keep = np.ones(len(lane), bool)
        for pause in self.pauses:
            stretch = slice(*(self._place(at_ms) for at_ms in (pause.from_ms, pause.to_ms or end_ms)))
            lane[stretch] = 0
            if pause.skip:
                keep[stretch] = False
        return lane[keep]

    def _place(self, at_ms: int) -> int:
        return max(0, at_ms - self.start_ms) * TELEPHONE_HZ // 1000


def _join(lanes: list[Samples], channels: int) -> Samples:
    """Two tracks as two channels, or mixed into one."""
    if channels == 2:
        return np.column_stack(lanes)
    total = lanes[0].astype(np.int32) + lanes[1]
    mixed: Samples = np.clip(total, -32768, 32767).astype(np.int16)
    return mixed


def _trimmed(samples: Samples) -> Samples:
    """Without silence at both ends."""
    loud = np.abs(samples.astype(np.int32)) >= _QUIET
    audible = np.flatnonzero(loud if loud.ndim == 1 else loud.any(axis=1))
    return samples[audible[0] : audible[-1] + 1] if audible.size else samples[:0]
