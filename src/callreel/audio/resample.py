"""8 kHz samples as 16 kHz samples: layer 2 from layer 1, and other rates for voices and engines.

It adds no information: nothing lies above 4 kHz. The filter is soxr's HQ, computed in 32-bit floats and rounded here, since
soxr's own 16 bits are dithered with a seed that cannot be chosen (python-soxr issue 10): the same input would give other
bytes. Layer 2 can therefore be recreated from layer 1 bit for bit, with the same soxr build on the same kind of processor.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import soxr

from callreel.audio.samples import ASR_HZ, TELEPHONE_HZ, Floats, Samples

BLOCK_SAMPLES = 1_600
"""200 ms. Input is collected into blocks of this size: pieces of 20 ms cost three times as much (reference/ingest.md)."""

CUT_SAMPLES = 4_000
"""0.5 s. Longer input passes through the filter in pieces of this size, which does not change the samples.

The filter keeps a buffer as large as the largest piece: 360 kB for 1 s, 210 for 0.5 s, 130 for 0.2 s. One second in one
piece costs 61 us, in halves 67, in fifths 76 (docs/performance.md).
"""

_NOTHING = np.zeros(0, np.int16)


class Upsampler:
    """A stream of 8 kHz samples in pieces of any length, as 16 kHz samples.

    Delay: less than `hold_samples`, and 12 to 115 ms inside the filter (64 on average over an hour of blocks). Holding
    more is cheaper, since the filter's state is loaded into the processor's cache less often; the samples are the same.
    Memory: the held samples and the filter's state, about 100 kB.
    """

    __slots__ = ("_finished", "_given", "_hold_samples", "_pending", "_pending_samples", "_stream", "_taken")

    def __init__(self, hold_samples: int = BLOCK_SAMPLES) -> None:
        self._hold_samples = hold_samples
        self._stream = soxr.ResampleStream(TELEPHONE_HZ, ASR_HZ, 1, dtype="float32", quality="HQ")
        self._pending: list[Samples] = []
        self._pending_samples = 0
        self._taken = 0
        self._given = 0
        self._finished = False

    def push(self, samples: Samples) -> Samples:
        """The next output samples [m] after `samples` [n]; often none. Raises ValueError after `finish`."""
        if self._finished:
            raise ValueError("the upsampler is finished")
        self._taken += samples.size
        self._pending_samples += samples.size
        if self._pending_samples < self._hold_samples:
            self._pending.append(samples.copy())  # the caller may reuse its array
            return _NOTHING
        self._pending.append(samples)
        return self._filtered()

    def finish(self) -> Samples:
        """The remaining output, so that all output together has exactly twice the samples of all input."""
        if self._finished:
            raise ValueError("the upsampler is finished")
        self._finished = True
        rest = _rounded(self._stream.resample_chunk(self._joined().astype(np.float32), last=True))
        missing = 2 * self._taken - self._given - rest.size
        # soxr 1.1 gives exactly twice the samples; its documentation does not promise it.
        return np.pad(rest, (0, missing)) if missing > 0 else rest[: rest.size + missing]

    def _filtered(self) -> Samples:
        wide = self._joined().astype(np.float32)
        self._pending.clear()
        self._pending_samples = 0
        made = [
            _rounded(self._stream.resample_chunk(wide[at : at + CUT_SAMPLES]))
            for at in range(0, wide.size, CUT_SAMPLES)
        ]
        output = made[0] if len(made) == 1 else np.concatenate(made)
        self._given += output.size
        return output

    def _joined(self) -> Samples:
        if len(self._pending) == 1:
            return self._pending[0]
        return np.concatenate(self._pending) if self._pending else _NOTHING


def upsample_all(samples: Samples) -> Samples:
    """The same samples [2 n] as an `Upsampler` gives for `samples` [n], however they are pushed."""
    upsampler = Upsampler()
    return np.concatenate([upsampler.push(samples), upsampler.finish()])


def to_rate(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """`samples` [n] at another rate, round(n * to / from) of them. For voices and engines, not for layers."""
    if from_hz == to_hz or not samples.size:
        return samples
    return _rounded(soxr.resample(samples.astype(np.float32), from_hz, to_hz, quality="HQ"))


def rate_blocks(blocks: Iterable[Samples], from_hz: int, to_hz: int) -> Iterator[Samples]:
    """`blocks` [n] at another rate, as a stream. For engines and comparisons, not for layers."""
    if from_hz == to_hz:
        yield from blocks
        return
    stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield _rounded(stream.resample_chunk(block.astype(np.float32)))
    yield _rounded(stream.resample_chunk(np.zeros(0, np.float32), last=True))


def upsampled(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """The same samples as an `Upsampler` gives for `blocks`, as a stream."""
    upsampler = Upsampler()
    for block in blocks:
        yield upsampler.push(block)
    yield upsampler.finish()


def _rounded(wide: Floats) -> Samples:
    """The nearest 16-bit samples, clipped where the filter overshoots full scale. Overwrites `wide`."""
    np.rint(wide, out=wide)
    np.maximum(wide, -32_768, out=wide)  # twice as fast as `clip`
    np.minimum(wide, 32_767, out=wide)
    return wide.astype(np.int16)
