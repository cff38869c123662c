"""Endpointing of one lane: voice activity detection cuts segments and requests their decoding.

It runs on the receive path. Detection is most of its cost, so `SpeechDetection` runs it for the windows of all lanes together.
`live/transcription.py` decodes.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from callreel.asr.partial_cadence import PartialCadence
from callreel.audio.resample import upsample_all
from callreel.audio.samples import ASR_SAMPLES_PER_MS, SAMPLES_PER_MS, TELEPHONE_HZ, Samples
from callreel.audio.segmenter import (
    Closed,
    Dropped,
    Opened,
    SegmenterOptions,
    SegmentEvent,
    SpeechDetector,
    SpeechSegmenter,
    Split,
)
from callreel.domain.call import Role
from callreel.domain.measures import Spoken

log = logging.getLogger(__name__)

SETTLE_MS = 25
"""What the resampler's filter looks at on either side of a sample, and more."""

PAUSE_MS = 200
"""In a longer pause no partial is requested: soon the segment's final comes, or more words to decode with those before."""


class SampleStore:
    """The newest samples of a track by their absolute position; `forget` bounds its memory."""

    def __init__(self) -> None:
        self._pieces: deque[Samples] = deque()
        self._first = 0
        self.end = 0

    @property
    def first(self) -> int:
        """Where what is kept begins."""
        return self._first

    @property
    def held(self) -> int:
        """How many samples are kept."""
        return self.end - self._first

    def append(self, samples: Samples) -> None:
        if samples.size:
            self._pieces.append(samples)
            self.end += samples.size

    def between(self, start: int, end: int) -> Samples:
        """Samples [start, end), as far as they are held."""
        at, found = self._first, [np.zeros(0, np.int16)]
        for piece in self._pieces:
            found.append(piece[max(start - at, 0) : max(end - at, 0)])
            at += piece.size
        return np.concatenate(found)

    def forget(self, before: int) -> None:
        """Drop whole pieces that end before position `before`."""
        while self._pieces and self._first + self._pieces[0].size <= before:
            self._first += self._pieces.popleft().size


@dataclass(frozen=True, slots=True)
class _Cut:
    """A closed segment whose last samples the resampler may still hold."""

    number: int
    start_ms: int
    end_ms: int


class NoTranscript:
    """Listens to a lane and does nothing, for calls that are only recorded."""

    __slots__ = ()
    spoken = None

    def push(self, samples8k: Samples, samples16k: Samples) -> None: ...

    def pause(self) -> None: ...


class EndpointDetector:
    """Segments of one role; `request(role, number, start_ms, samples16k, final)` is called when one is to be decoded.

    A segment is complete up to the newest 8 kHz sample: the resampler holds 16 kHz samples back for up to 115 ms, so the
    last ones are resampled here, and may differ by one from layer 2's.
    Holds them from the beginning of the oldest segment that is not given, or of the pre-roll before a next one: at
    most 27 s, about 860 kB.
    """

    def __init__(
        self,
        role: Role,
        detector: SpeechDetector,
        options: SegmenterOptions,
        cadence: PartialCadence | None,
        request: Callable[[Role, int, int, Samples, bool], None],
        first_number: int = 0,
        dropped: Callable[[Role, int], None] = lambda role, start_ms: None,
        detection: "SpeechDetection | None" = None,
    ) -> None:
        """`dropped(role, start_ms)`: the segment that began there held too little speech; partials may have been requested.

        Without a `detection` that is shared with other lanes, `push` detects at once.
        """
        self._role = role
        self._pre_ms = options.pre_ms
        self._detection = detection
        self.detector = detector
        self._segmenter = SpeechSegmenter(detector, options)
        self.cadence = cadence
        self._request = request
        self._dropped = dropped
        self._samples16k = SampleStore()
        self._newest8k = SampleStore()
        self._number = first_number
        self._cut: deque[_Cut] = deque()
        self._open_since_ms: int | None = None

    @property
    def spoken(self) -> Spoken:
        """What the party has said so far."""
        return Spoken(self._segmenter.voiced_ms, self._segmenter.voiced_until_ms)

    @property
    def held_ms(self) -> int:
        """How much audio is in memory."""
        return self._samples16k.held // ASR_SAMPLES_PER_MS

    def push(self, samples8k: Samples, samples16k: Samples) -> None:
        """The next settled samples of the lane, at both rates; the two need not reach equally far."""
        self._samples16k.append(samples16k)
        self._newest8k.append(samples8k)
        if self._detection is not None and samples8k.size <= TELEPHONE_HZ:
            self._segmenter.add(samples8k)
            self._detection.soon(self)
        else:  # a gap filled with silence needs no detection
            self._detect(samples8k)
            self.windows_done()

    def next_window(self) -> Samples | None:
        """The next window in which speech is to be detected, once all its samples are there."""
        return self._segmenter.next_window()

    def detected(self, probability: float) -> None:
        """The window is speech with this probability."""
        self._handle(self._segmenter.detected(probability))

    def windows_done(self) -> None:
        """Detection has reached the newest samples: request what is due."""
        self._request_closed(self._certain_ms)
        self._forget()
        self._maybe_partial()

    def pause(self) -> None:
        """The stream ended and all its samples are there: close what is open."""
        self._detect(np.zeros(0, np.int16))
        end_ms = self._samples16k.end // ASR_SAMPLES_PER_MS
        self._handle(self._segmenter.finish(end_ms))
        self._request_closed(end_ms)
        self._newest8k.forget(self._newest8k.end)  # the next stream has a resampler of its own

    def _detect(self, samples8k: Samples) -> None:
        for event in self._segmenter.push(samples8k):
            self._handle(event)

    def _handle(self, event: SegmentEvent | None) -> None:
        if isinstance(event, Opened):
            self._open_since_ms = event.start_ms
        elif isinstance(event, Closed | Split):
            self._cut.append(_Cut(self._number, event.start_ms, event.end_ms))
            self._number += 1
            self._open_since_ms = event.end_ms if isinstance(event, Split) else None
        elif isinstance(event, Dropped):
            self._open_since_ms = None
            self._dropped(self._role, event.start_ms)

    def _maybe_partial(self) -> None:
        if self._open_since_ms is None or self.cadence is None or self._segmenter.silence_ms >= PAUSE_MS:
            return
        now_ms = self._certain_ms
        if self.cadence.due(self._number, now_ms - self._open_since_ms):
            self._request_segment(_Cut(self._number, self._open_since_ms, now_ms), final=False)

    @property
    def _certain_ms(self) -> int:
        """How far 16 kHz samples exist, or can be resampled from the newest 8 kHz ones."""
        made_ms = self._newest8k.end // SAMPLES_PER_MS - SETTLE_MS
        return max(made_ms, self._samples16k.end // ASR_SAMPLES_PER_MS)

    def _request_closed(self, known_ms: int) -> None:
        while self._cut and self._cut[0].end_ms <= known_ms:
            self._request_segment(self._cut.popleft(), final=True)

    def _request_segment(self, cut: _Cut, *, final: bool) -> None:
        samples = self._between(cut.start_ms * ASR_SAMPLES_PER_MS, cut.end_ms * ASR_SAMPLES_PER_MS)
        self._request(self._role, cut.number, cut.start_ms, samples, final)

    def _between(self, start: int, end: int) -> Samples:
        """Samples [start, end) at 16 kHz; what the lane's resampler still holds back is made here."""
        made = self._samples16k.between(start, end)
        missing_from = max(start, self._samples16k.end)
        if missing_from >= end:
            return made
        first = self._newest8k.first
        rest = upsample_all(self._newest8k.between(first, self._newest8k.end))
        return np.concatenate([made, rest[missing_from - 2 * first : end - 2 * first]])

    def _forget(self) -> None:
        keep_ms = self._segmenter.position_ms - self._pre_ms - 1000
        if self._open_since_ms is not None:
            keep_ms = min(keep_ms, self._open_since_ms)
        if self._cut:
            keep_ms = min(keep_ms, self._cut[0].start_ms)
        self._samples16k.forget(keep_ms * ASR_SAMPLES_PER_MS)
        self._newest8k.forget(self._samples16k.end // 2 - SETTLE_MS * SAMPLES_PER_MS)


Probabilities: TypeAlias = Callable[[Sequence[Any], Sequence[Samples]], Sequence[float]]
"""`detector.probability(window)` for each of different detectors and its next window."""


def one_by_one(detectors: Sequence[SpeechDetector], windows: Sequence[Samples]) -> list[float]:
    """For detectors that cannot be run together."""
    return [detector.probability(window) for detector, window in zip(detectors, windows, strict=True)]


class SpeechDetection:
    """Detects speech in the windows of all lanes that came in one turn of the event loop, together.

    The more calls there are, the more windows share a run of the network; a lane alone waits for nothing.
    """

    def __init__(self, probabilities: Probabilities) -> None:
        self._probabilities = probabilities
        self._lanes: dict[EndpointDetector, None] = {}

    def soon(self, lane: EndpointDetector) -> None:
        """Detect in the windows of `lane` after this turn of the event loop."""
        if not self._lanes:
            asyncio.get_running_loop().call_soon(self._run)
        self._lanes[lane] = None

    def _run(self) -> None:
        lanes, self._lanes = list(self._lanes), {}
        while due := [(lane, window) for lane in lanes if (window := lane.next_window()) is not None]:
            found = self._probabilities([lane.detector for lane, _ in due], [window for _, window in due])
            for (lane, _), probability in zip(due, found, strict=True):
                lane.detected(probability)
        for lane in lanes:
            try:
                lane.windows_done()
            except Exception:  # the other lanes must not lose theirs
                log.exception("segment not requested")
