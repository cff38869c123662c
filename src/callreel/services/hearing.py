"""Finding segments in one lane and asking for their text: voice activity, then jobs for the engines.

It runs on the receive path, so it only cuts: a step of detection costs about 0.1 ms. Decoding is `services/live`.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from callreel.audio.segmenter import Closed, Opened, Segmenter, SegmenterOptions, SpeechDetector, Split
from callreel.domain.call import Role
from callreel.speech.cadence import PartialCadence

Samples = npt.NDArray[np.int16]
SAMPLES16K_A_MS = 16


class SampleStore:
    """The newest samples of a track by their absolute position; `forget` bounds it to the open segment."""

    def __init__(self) -> None:
        self._pieces: list[Samples] = []
        self._first = 0
        self.end = 0

    def append(self, samples: Samples) -> None:
        if samples.size:
            self._pieces.append(samples)
            self.end += samples.size

    def between(self, start: int, end: int) -> Samples:
        """Samples [start, end), as far as they are held."""
        joined = np.concatenate(self._pieces) if self._pieces else np.zeros(0, np.int16)
        self._pieces = [joined]
        return joined[max(start - self._first, 0) : max(end - self._first, 0)].copy()

    def forget(self, before: int) -> None:
        """Drop whole pieces that end before position `before`."""
        while self._pieces and self._first + self._pieces[0].size <= before:
            self._first += self._pieces.pop(0).size


class LaneHearing:
    """Segments of one role: `ask(number, start_ms, samples16k, final)` is called when text is wanted.

    Holds 16 kHz samples from the beginning of the open segment, or of the pre-roll before a next one: at most
    26 s, about 830 kB.
    """

    def __init__(
        self,
        role: Role,
        detector: SpeechDetector,
        options: SegmenterOptions,
        cadence: PartialCadence | None,
        ask: Callable[[Role, int, int, Samples, bool], None],
    ) -> None:
        self._role = role
        self._detector = detector
        self._options = options
        self._segmenter = Segmenter(options)
        self.cadence = cadence
        self._ask = ask
        self._undetected = np.zeros(0, np.int16)
        self._samples16k = SampleStore()
        self._number = 0
        self._open_since_ms: int | None = None
        self._steps = 0

    @property
    def position_ms(self) -> int:
        """How far detection has come."""
        return self._steps * self._options.step_ms

    def hear(self, samples8k: Samples, samples16k: Samples) -> None:
        """The next settled samples of the lane, at both rates; the two need not reach equally far."""
        self._samples16k.append(samples16k)
        pending = np.concatenate([self._undetected, samples8k]) if self._undetected.size else samples8k
        step = self._detector.step_samples
        whole = pending.size - pending.size % step
        for at in range(0, whole, step):
            self._step(pending[at : at + step])
        self._undetected = pending[whole:]
        self._forget()
        self._maybe_partial()

    def pause(self) -> None:
        """The stream ended: close what is open."""
        event = self._segmenter.finish(self._samples16k.end // SAMPLES16K_A_MS)
        self._handle(event)

    def _step(self, samples: Samples) -> None:
        self._steps += 1
        self._handle(self._segmenter.push(self._detector.probability(samples)))

    def _handle(self, event: object) -> None:
        if isinstance(event, Opened):
            self._open_since_ms = event.start_ms
        elif isinstance(event, Closed | Split):
            self._give(event.start_ms, event.end_ms, final=True)
            self._number += 1
            self._open_since_ms = event.end_ms if isinstance(event, Split) else None
        elif event is not None:
            self._open_since_ms = None

    def _maybe_partial(self) -> None:
        if self._open_since_ms is None or self.cadence is None:
            return
        now_ms = self._samples16k.end // SAMPLES16K_A_MS
        if self.cadence.due(self._number, now_ms - self._open_since_ms):
            self._give(self._open_since_ms, now_ms, final=False)

    def _give(self, start_ms: int, end_ms: int, *, final: bool) -> None:
        samples = self._samples16k.between(start_ms * SAMPLES16K_A_MS, end_ms * SAMPLES16K_A_MS)
        self._ask(self._role, self._number, start_ms, samples, final)

    def _forget(self) -> None:
        keep_ms = self.position_ms - self._options.pre_ms - 1000
        if self._open_since_ms is not None:
            keep_ms = min(keep_ms, self._open_since_ms)
        self._samples16k.forget(keep_ms * SAMPLES16K_A_MS)
