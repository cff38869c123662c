"""Speech segments of one track, from the speech probability of each window.

It receives one probability per window and is independent of samples, models and clocks. The rule is Silero's hysteresis (open at `on`,
silence below `off`) with padding; the values are those measured in reference/speech.md, sections 1 and 5.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from callreel.audio.samples import SAMPLES_PER_MS, TELEPHONE_HZ, Samples


class SpeechDetector(Protocol):
    """Estimates the speech probability of each window of one track, whose state it keeps. `asr/silero` is the one in use."""

    @property
    def window_samples(self) -> int:
        """Samples of one window: 256 at 8 kHz are 32 ms."""
        ...

    def probability(self, samples: Samples) -> float:
        """0 to 1 for `samples` [window_samples], which follow those of the call before."""
        ...


@dataclass(frozen=True, slots=True)
class SegmenterOptions:
    """`on` and `off` are the speech probabilities that open a segment and end speech; all others are in milliseconds.

    Raises ValueError if they contradict each other.
    """

    on: float = 0.5
    off: float = 0.35
    min_silence_ms: int = 500
    """Silence that ends a segment."""
    pre_ms: int = 500
    post_ms: int = 450
    """Padding before the first and after the last speech. More `post_ms` than `min_silence_ms` has no effect."""
    min_speech_ms: int = 100
    """A segment with less speech is dropped as a click. What remains after a split is kept however little speech it has."""
    soft_max_ms: int = 15_000
    """Beyond this length, a dip of `dip_ms` ends a segment."""
    hard_max_ms: int = 25_000
    dip_ms: int = 150
    window_ms: int = 32

    def __post_init__(self) -> None:
        if not 0 < self.off <= self.on <= 1:
            raise ValueError(f"expected 0 < off <= on <= 1, got off {self.off} and on {self.on}")
        if not 0 < self.window_ms <= self.min_silence_ms <= self.soft_max_ms <= self.hard_max_ms:
            raise ValueError("expected window_ms <= min_silence_ms <= soft_max_ms <= hard_max_ms")


@dataclass(frozen=True, slots=True)
class Opened:
    """Speech began; the segment starts at `start_ms`, which lies `pre_ms` back at most."""

    start_ms: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The open segment ended."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Split:
    """The open segment was cut because it was long. The next one starts at `end_ms`, without an `Opened`."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """The open segment contained too little speech."""

    start_ms: int


SegmentEvent: TypeAlias = Opened | Closed | Split | Dropped


class Segmenter:
    """One track's segments, in order; they never overlap. Memory: one number per window of the open segment."""

    __slots__ = (
        "_options", "_now_ms", "_previous_end_ms", "_rest", "_start_ms", "_windows", "_voiced", "voiced_ms",
        "voiced_until_ms",
    )  # fmt: skip

    def __init__(self, options: SegmenterOptions | None = None) -> None:
        self._options = options or SegmenterOptions()
        self._now_ms = 0
        self._previous_end_ms = 0
        self._start_ms: int | None = None
        # Whether the open segment is the rest of a cut one.
        self._rest = False
        # For each window of the open segment: its probability, and whether it counts as speech.
        self._windows: list[float] = []
        self._voiced: list[bool] = []
        self.voiced_ms = 0
        """All speech so far, without padding."""
        self.voiced_until_ms = 0
        """The end of the newest speech."""

    def push(self, probability: float) -> SegmentEvent | None:
        """Process the next window of `window_ms`; `probability` is 0 to 1."""
        self._now_ms += self._options.window_ms
        if self._start_ms is None:
            return self._open(probability) if probability >= self._options.on else None
        self._append(probability)
        if self.silence_ms >= self._options.min_silence_ms:
            return self._close(self._now_ms)
        return self._cut_if_long(self._start_ms)

    def finish(self, end_ms: int) -> SegmentEvent | None:
        """The track ended at `end_ms`: close or drop the open segment."""
        return None if self._start_ms is None else self._close(end_ms)

    def _open(self, probability: float) -> Opened:
        spoken_ms = self._now_ms - self._options.window_ms
        self._start_ms = max(self._previous_end_ms, spoken_ms - self._options.pre_ms)
        self._rest = False
        self._windows, self._voiced = [], []
        self._append(probability)
        return Opened(self._start_ms)

    def _append(self, probability: float) -> None:
        was_voiced = bool(self._voiced) and self._voiced[-1]
        self._windows.append(probability)
        self._voiced.append(probability >= (self._options.off if was_voiced else self._options.on))
        if self._voiced[-1]:
            self.voiced_ms += self._options.window_ms
            self.voiced_until_ms = self._now_ms

    @property
    def silence_ms(self) -> int:
        """Silence at the end of the open segment, or of the last one."""
        silent = 0
        for voiced in reversed(self._voiced):
            if voiced:
                break
            silent += 1
        return silent * self._options.window_ms

    def _close(self, now_ms: int) -> Closed | Dropped:
        start_ms = self._start_ms
        assert start_ms is not None
        self._start_ms = None
        spoken_until_ms = self._now_ms - self.silence_ms
        end_ms = min(spoken_until_ms + self._options.post_ms, now_ms)
        # Very little speech is a click, except in the rest of a cut segment, where it is the end of a word.
        least_ms = self._options.window_ms if self._rest else self._options.min_speech_ms
        if sum(self._voiced) * self._options.window_ms < least_ms or end_ms <= start_ms:
            return Dropped(start_ms)
        self._previous_end_ms = end_ms
        return Closed(start_ms, end_ms)

    def _cut_if_long(self, start_ms: int) -> Split | None:
        options = self._options
        length_ms = self._now_ms - start_ms
        if length_ms < options.soft_max_ms:
            return None
        # Never within the first half of `soft_max_ms`: engines decode short pieces badly.
        first = len(self._windows) - (length_ms - options.soft_max_ms // 2) // options.window_ms
        keep = self._longest_dip(max(1, first))
        if keep is None and length_ms >= options.hard_max_ms:
            keep = self._quietest(max(1, first))
        return None if keep is None else self._cut(start_ms, keep)

    def _longest_dip(self, first: int) -> int | None:
        """The window in the middle of the longest dip from `first` on; None if none is `dip_ms` long."""
        best, best_length, length = None, -(-self._options.dip_ms // self._options.window_ms) - 1, 0
        for window in range(first, len(self._windows)):
            length = 0 if self._voiced[window] else length + 1
            if length > best_length:
                best, best_length = window + 1 - length // 2, length
        return best

    def _quietest(self, first: int) -> int:
        """The window after `first` around which speech is least likely; its neighbours count half."""
        smoothed = np.convolve(self._windows, (0.5, 1.0, 0.5), mode="same")
        # The last window has no right neighbour yet.
        return first + int(np.argmin(smoothed[first:-1])) if first < len(self._windows) - 1 else first

    def _cut(self, start_ms: int, keep: int) -> Split:
        """End the segment after its first `keep` windows; the rest stays open."""
        end_ms = self._now_ms - (len(self._windows) - keep) * self._options.window_ms
        del self._windows[:keep], self._voiced[:keep]
        self._start_ms = self._previous_end_ms = end_ms
        self._rest = True
        return Split(start_ms, end_ms)


class SpeechSegmenter:
    """Segments a track's 8 kHz samples: runs the detector on each window and returns the segment events."""

    def __init__(self, detector: SpeechDetector, options: SegmenterOptions) -> None:
        self._detector = detector
        self._segmenter = Segmenter(options)
        self._window_ms = options.window_ms
        self._windows = 0
        self._rest: Samples = np.zeros(0, np.int16)

    @property
    def position_ms(self) -> int:
        """The position up to which speech detection has run."""
        return self._windows * self._window_ms

    @property
    def silence_ms(self) -> int:
        """Silence at the end of the open segment, or of the last one."""
        return self._segmenter.silence_ms

    @property
    def voiced_ms(self) -> int:
        """All speech so far, without padding."""
        return self._segmenter.voiced_ms

    @property
    def voiced_until_ms(self) -> int:
        """The end of the newest speech; 0 without any."""
        return self._segmenter.voiced_until_ms

    def push(self, samples8k: Samples) -> Iterator[SegmentEvent]:
        """Events of the next samples, of any length. Samples are processed only as the iterator advances."""
        self.add(samples8k)
        # A gap filled with silence may last hours, and a second of detection costs 3 ms: digital silence needs none.
        silent = self._rest.size > TELEPHONE_HZ and not self._rest.any()
        while (window := self.next_window()) is not None:
            event = self.detected(0.0 if silent else self._detector.probability(window))
            if event is not None:
                yield event

    def add(self, samples8k: Samples) -> None:
        """Keep the next samples, for a caller that detects speech in each `next_window` itself."""
        self._rest = np.concatenate([self._rest, samples8k]) if self._rest.size else samples8k

    def next_window(self) -> Samples | None:
        """The next window, once all its samples are there. `detected` must follow."""
        window = self._detector.window_samples
        if self._rest.size < window:
            return None
        found, self._rest = self._rest[:window], self._rest[window:]
        return found

    def detected(self, probability: float) -> SegmentEvent | None:
        """What the speech probability of the window means."""
        self._windows += 1
        return self._segmenter.push(probability)

    def finish(self, end_ms: int) -> SegmentEvent | None:
        """The track ended at `end_ms`: close or drop the open segment."""
        return self._segmenter.finish(end_ms)


@dataclass(frozen=True, slots=True)
class SpeechSpan:
    """A segment, and the position of detection at which its end was certain."""

    start_ms: int
    end_ms: int
    decided_ms: int


def speech_spans(
    blocks8k: Iterable[Samples], detector: SpeechDetector, options: SegmenterOptions
) -> Iterator[SpeechSpan]:
    """The segments of a whole track, each as soon as it is certain. Blocks may have any length."""
    segmenter, total = SpeechSegmenter(detector, options), 0
    for block in blocks8k:
        total += block.size
        for event in segmenter.push(block):
            if isinstance(event, Closed | Split):
                yield SpeechSpan(event.start_ms, event.end_ms, segmenter.position_ms)
    length_ms = total // SAMPLES_PER_MS
    last = segmenter.finish(length_ms)
    if isinstance(last, Closed | Split):
        yield SpeechSpan(last.start_ms, last.end_ms, length_ms)
