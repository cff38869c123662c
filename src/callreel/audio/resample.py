"""8 kHz samples as 16 kHz samples: layer 2 from layer 1, and voices and engines at the rate they need.

It adds no information: nothing lies above 4 kHz. The filter is soxr's HQ, computed in 32-bit floats and rounded here:
asked for 16 bits, soxr adds dither whose seed is not ours to choose (python-soxr issue 10), so that the same input gives
other bytes. Layer 2 can therefore be made again from layer 1 bit for bit, from the first sample on, with the same soxr
build on the same kind of processor.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import soxr

from callreel.audio.samples import ASR_HZ, TELEPHONE_HZ, Samples

BLOCK_SAMPLES = 1_600
"""200 ms. Input is gathered into blocks of this, since 20 ms pieces cost thrice as much (reference/ingest.md)."""

CUT_SAMPLES = 4_000
"""0.5 s. Of more at once, this much goes through the filter at a time; where it is cut does not change the samples.

The filter keeps room for as much as it was ever given: 360 kB for 1 s, 210 for 0.5 s, 130 for 0.2 s. One second at once
costs 61 us, in halves 67, in fifths 76 (docs/performance.md).
"""

HALVER_REACH = 63
_HALVER_AT = np.arange(-HALVER_REACH, HALVER_REACH + 1)
_HALVER_TAPS = (np.sinc(_HALVER_AT / 2) / 2 * np.hamming(_HALVER_AT.size)).astype(np.float32)
"""A half-band low-pass of linear phase: full below 3.7 kHz, gone above 4.3 kHz, where layer 2 holds nothing."""

_NOTHING = np.zeros(0, np.int16)


class Upsampler:
    """A stream of 8 kHz samples in pieces of any length, as 16 kHz samples.

    Held back until `finish`: less than `hold_samples`, and inside the filter 12 to 115 ms, 64 on average (measured over
    an hour of blocks). Holding more is cheaper, since the filter's state has to come into the processor's cache less
    often; the samples are the same.
    Memory is what is held and the filter's state, some 100 kB.
    """

    __slots__ = ("_begun", "_begun_samples", "_hold_samples", "_stream", "_taken", "_given", "_finished")

    def __init__(self, hold_samples: int = BLOCK_SAMPLES) -> None:
        self._hold_samples = hold_samples
        self._stream = soxr.ResampleStream(TELEPHONE_HZ, ASR_HZ, 1, dtype="float32", quality="HQ")
        self._begun: list[Samples] = []
        self._begun_samples = 0
        self._taken = 0
        self._given = 0
        self._finished = False

    def push(self, samples: Samples) -> Samples:
        """What has become certain [m] after `samples` [n]; often nothing. Raises ValueError after `finish`."""
        if self._finished:
            raise ValueError("the upsampler is finished")
        self._taken += samples.size
        self._begun_samples += samples.size
        if self._begun_samples < self._hold_samples:
            self._begun.append(samples.copy())  # the caller may use its array again
            return _NOTHING
        self._begun.append(samples)
        return self._all_begun()

    def finish(self) -> Samples:
        """The rest, so that all output together has exactly twice the samples of all input."""
        if self._finished:
            raise ValueError("the upsampler is finished")
        self._finished = True
        rest = _rounded(self._stream.resample_chunk(self._joined().astype(np.float32), last=True))
        missing = 2 * self._taken - self._given - rest.size
        # soxr 1.1 gives exactly twice the samples; its documentation does not promise it.
        return np.pad(rest, (0, missing)) if missing > 0 else rest[: rest.size + missing]

    def _all_begun(self) -> Samples:
        wide = self._joined().astype(np.float32)
        self._begun.clear()
        self._begun_samples = 0
        made = [
            _rounded(self._stream.resample_chunk(wide[at : at + CUT_SAMPLES]))
            for at in range(0, wide.size, CUT_SAMPLES)
        ]
        output = made[0] if len(made) == 1 else np.concatenate(made)
        self._given += output.size
        return output

    def _joined(self) -> Samples:
        if len(self._begun) == 1:
            return self._begun[0]
        return np.concatenate(self._begun) if self._begun else _NOTHING


def upsample_all(samples: Samples) -> Samples:
    """The very samples [2 n] that an `Upsampler` gives for `samples` [n], however they were pushed."""
    upsampler = Upsampler()
    return np.concatenate([upsampler.push(samples), upsampler.finish()])


class Halver:
    """A stream of 16 kHz samples in pieces of any length, as 8 kHz samples in floats, 4 ms behind.

    For engines that hear a telephone: of layer 2 it gives layer 1 back, but for what lies above 3.7 kHz. Not for layers.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting = np.zeros(HALVER_REACH, np.float32)

    def push(self, samples: Samples | npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """What has become certain [m] after `samples` [n], on the scale of 16 bits."""
        waiting = np.concatenate([self._waiting, samples.astype(np.float32)])
        made = max(0, (waiting.size - _HALVER_TAPS.size) // 2 + 1)
        if not made:
            self._waiting = waiting
            return np.zeros(0, np.float32)
        self._waiting = waiting[2 * made :]
        windows = np.lib.stride_tricks.sliding_window_view(waiting, _HALVER_TAPS.size)[::2][:made]
        halved: npt.NDArray[np.float32] = windows @ _HALVER_TAPS
        return halved

    def finish(self) -> npt.NDArray[np.float32]:
        """The rest: in all half as many samples as came in, rounded up."""
        return self.push(np.zeros(HALVER_REACH, np.float32))


def to_rate(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """`samples` [n] at another rate, round(n * to / from) of them. For voices and engines, not for layers."""
    if from_hz == to_hz or not samples.size:
        return samples
    return _rounded(soxr.resample(samples.astype(np.float32), from_hz, to_hz, quality="HQ"))


def rate_blocks(blocks: Iterable[Samples], from_hz: int, to_hz: int) -> Iterator[Samples]:
    """`blocks` [n] at another rate, as a stream. For engines and for comparing, not for layers."""
    if from_hz == to_hz:
        yield from blocks
        return
    stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield _rounded(stream.resample_chunk(block.astype(np.float32)))
    yield _rounded(stream.resample_chunk(np.zeros(0, np.float32), last=True))


def upsampled(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """The very samples that an `Upsampler` gives for `blocks`, as a stream."""
    upsampler = Upsampler()
    for block in blocks:
        yield upsampler.push(block)
    yield upsampler.finish()


def _rounded(wide: npt.NDArray[np.float32]) -> Samples:
    """The nearest 16-bit samples; what the filter lifts beyond full scale is clipped. Uses up `wide`."""
    np.rint(wide, out=wide)
    np.maximum(wide, -32_768, out=wide)  # twice as quick as `clip`
    np.minimum(wide, 32_767, out=wide)
    return wide.astype(np.int16)
