"""Aligns one capture of a voice with another: excerpts located to the sample, and straight lines through them.

One correlation of the whole envelopes, in blocks of 10 ms or more, gives a rough lag. Excerpts of a second are then searched
near it, all along the recording. Lines through the matches have an offset and a slope (drift); a new line begins where the
offset jumps, as it does when a second stream was placed by another clock.

Positions are samples: `cloud position = live position * (1 + slope) + offset`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from callreel.audio.envelope import FLOOR_RMS, block_rms, sound_threshold
from callreel.audio.samples import Floats
from callreel.audio.source import Source

_ENVELOPE_MS = 10
_EXCERPT_MS = 1_000
_SEARCH_MS = 500
_MOST_EXCERPTS = 300
_MOST_AT_ONCE = 2_000_000
_TRIAL_EXCERPTS = 6
_CANDIDATES = 8
_SOUND_SHARE = 0.3
_GOOD = 0.5
_CERTAIN = 0.9
_AMBIGUOUS = 0.9
"""A second peak at least this high beside the first means a tone, which also fits one period later."""
_AMBIGUOUS_FROM_MS = 2
_JUMP_SAMPLES = 6.0
_SLOPE_DOUBT = 30e-6
_MOST_SLOPE = 500e-6


@dataclass(frozen=True, slots=True)
class Line:
    """Where live samples lie in the cloud recording, from matches between the live positions `first` and `last`."""

    first: float
    last: float
    offset: float
    slope: float
    anchors: int

    def cloud_at(self, live_at: float) -> float:
        return live_at * (1 + self.slope) + self.offset

    def live_at(self, cloud_at: float) -> float:
        return (cloud_at - self.offset) / (1 + self.slope)


@dataclass(frozen=True, slots=True)
class _Anchor:
    """An excerpt of the live layer, located in the cloud recording.

    `at` is its middle, `lag` how many whole samples later it lies there, `exact_lag` the same with a fraction.
    """

    at: float
    lag: int
    exact_lag: float
    correlation: float
    ambiguous: bool


def find_lines(live: Source, cloud: Source, rate_hz: int) -> tuple[Line, ...]:
    """At least one line, in order of position; `live` [n] and `cloud` [m] both contain some sound.

    If `live` is not in `cloud`, the only line is the best of bad matches; the comparison along it then shows that.
    """
    block = rate_hz * _ENVELOPE_MS // 1000
    live_rms, cloud_rms = block_rms(live, block), block_rms(cloud, block)
    length = min(rate_hz * _EXCERPT_MS // 1000, live.size)
    starts = _excerpts(live_rms, block, length)
    search = _Search(live, cloud, length, rate_hz)
    trials = _spread(starts, _TRIAL_EXCERPTS)
    # Up to five hours in blocks of 10 ms, longer ones in coarser blocks: the search around covers half a second.
    join = 1 + max(live_rms.size, cloud_rms.size) // _MOST_AT_ONCE
    distance = max(1, rate_hz // 1000 * _SEARCH_MS // (block * join))
    lags = _coarse_lags(_joined(live_rms, join), _joined(cloud_rms, join), distance)
    near = _best(search, trials, [lag * block * join for lag in lags])
    starts = _spread(starts, _MOST_EXCERPTS)
    anchors = [search.find(start, near) for start in starts]
    good = [anchor for anchor in anchors if anchor.correlation >= _GOOD and not anchor.ambiguous]
    if good:
        return _lines(good, length)
    lag = search.find_together(starts, near)
    return (Line(starts[0], starts[-1] + length, float(lag), 0.0, len(anchors)),)


def _joined(rms: Floats, join: int) -> Floats:
    """The mean of each `join` blocks."""
    whole = rms.size // join * join
    return rms[:whole].reshape(-1, join).mean(axis=1) if join > 1 else rms


def _coarse_lags(live_rms: Floats, cloud_rms: Floats, distance: int) -> list[int]:
    """The most likely lags of the live envelope in the cloud one, in blocks, at least `distance` blocks from each other."""
    size = 1 << (live_rms.size + cloud_rms.size).bit_length()
    product = np.fft.rfft(_shape(live_rms), size)
    np.conj(product, out=product)  # in place: tens of MB for hours of audio
    product *= np.fft.rfft(_shape(cloud_rms), size)
    likeness = np.fft.irfft(product, size)
    del product
    lags = []
    for _ in range(_CANDIDATES):
        peak = int(np.argmax(likeness))
        if not np.isfinite(likeness[peak]):
            break
        lags.append(peak if peak < cloud_rms.size else peak - size)
        likeness[np.arange(peak - distance, peak + distance + 1) % size] = -np.inf
    return lags


def _shape(rms: Floats) -> Floats:
    """The envelope about its mean, on a logarithmic scale on which soft speech counts too."""
    shape: Floats = np.log1p(rms / np.float32(sound_threshold(rms)))
    return shape - shape.mean() if shape.size else shape


def _excerpts(rms: Floats, block: int, length: int) -> list[int]:
    """Where excerpts of `length` with enough sound begin; the one with most sound, if none has enough."""
    blocks = max(1, length // block)
    audible = np.concatenate([[0], np.cumsum(rms > sound_threshold(rms))])
    firsts = np.arange(0, max(1, rms.size - blocks + 1), max(1, blocks // 2))
    share = (audible[np.minimum(firsts + blocks, rms.size)] - audible[firsts]) / blocks
    enough = firsts[share >= _SOUND_SHARE]
    chosen = enough if enough.size else firsts[[int(np.argmax(share))]]
    return [int(first) * block for first in chosen]


def _spread(starts: Sequence[int], most: int) -> list[int]:
    """`most` of `starts`, evenly along the recording."""
    if len(starts) <= most:
        return list(starts)
    return [starts[round(index)] for index in np.linspace(0, len(starts) - 1, most)]


class _Search:
    """Finds excerpts of one capture in another by normalised cross-correlation."""

    def __init__(self, live: Source, cloud: Source, length: int, rate_hz: int) -> None:
        self._live = live
        self._cloud = cloud
        self._length = length
        self._reach = rate_hz * _SEARCH_MS // 1000
        self._tone = rate_hz * _AMBIGUOUS_FROM_MS // 1000
        self._size = 1 << (length + 2 * self._reach - 1).bit_length()

    def find(self, start: int, lag: int) -> _Anchor:
        """The excerpt from `start` on, searched within half a second of `lag`."""
        fit = self._fit(start, lag)
        peak = int(np.argmax(fit))
        beside = np.concatenate([fit[: max(0, peak - self._tone)], fit[peak + self._tone + 1 :]])
        found = lag - self._reach + peak
        return _Anchor(
            at=start + self._length / 2,
            lag=found,
            exact_lag=found + _summit(fit, peak),
            correlation=float(fit[peak]),
            ambiguous=bool(beside.size and beside.max() > _AMBIGUOUS * fit[peak]),
        )

    def find_together(self, starts: Sequence[int], lag: int) -> int:
        """The one lag that fits all excerpts best: the beginning and end of a tone distinguish its periods."""
        total = sum(self._fit(start, lag).astype(np.float64) for start in starts)
        return lag - self._reach + int(np.argmax(total))

    def _fit(self, start: int, lag: int) -> Floats:
        """Correlation coefficient of the excerpt from `start` on at each place within half a second of `lag`."""
        excerpt = stretch(self._live, start, self._length)
        around = stretch(self._cloud, start + lag - self._reach, self._length + 2 * self._reach)
        product = np.fft.irfft(
            np.conj(np.fft.rfft(excerpt, self._size)) * np.fft.rfft(around, self._size), self._size
        )
        places = 2 * self._reach + 1
        energy = np.concatenate([[0.0], np.cumsum(np.square(around, dtype=np.float64))])
        energy = energy[self._length : self._length + places] - energy[:places]
        # In near silence, chance would correlate.
        energy = np.maximum(energy, 0.1 * FLOOR_RMS**2 * self._length)
        fit: Floats = (product[:places] / np.sqrt(energy * max(1.0, float(excerpt @ excerpt)))).astype(
            np.float32
        )
        return fit


def _summit(fit: Floats, peak: int) -> float:
    """The peak's fraction of a sample, -0.5 to 0.5: the top of the parabola through it and its neighbours."""
    if not 0 < peak < fit.size - 1:
        return 0.0
    left, top, right = (float(value) for value in fit[peak - 1 : peak + 2])
    bend = left - 2 * top + right
    return 0.5 * (left - right) / bend if bend < 0 else 0.0


def _best(search: _Search, trials: Sequence[int], lags: Sequence[int]) -> int:
    """The lag near which the trial excerpts match best; the first certain one ends the search."""
    best, best_fit = lags[0], -1.0
    for lag in lags:
        fit = sum(search.find(start, lag).correlation for start in trials) / len(trials)
        if fit > best_fit:
            best, best_fit = lag, fit
        if fit >= _CERTAIN:
            break
    return best


def _lines(anchors: Sequence[_Anchor], length: int) -> tuple[Line, ...]:
    slope = _common_slope(anchors)
    return tuple(_fitted(run, slope, length) for run in _runs(anchors, slope))


def _common_slope(anchors: Sequence[_Anchor]) -> float:
    """Median slope between anchors some way apart: robust against jumps and false matches."""
    distance = max(1, len(anchors) // 8)
    slopes = [
        (later.exact_lag - earlier.exact_lag) / (later.at - earlier.at)
        for earlier, later in zip(anchors, anchors[distance:], strict=False)
    ]
    plausible = [slope for slope in slopes if abs(slope) <= _MOST_SLOPE]
    return float(np.median(plausible)) if len(plausible) >= 3 else 0.0


def _runs(anchors: Sequence[_Anchor], slope: float) -> list[list[_Anchor]]:
    """`anchors` cut where the offset jumps; lone ones are false matches unless there are no others."""
    runs = _linked([[anchor] for anchor in anchors], slope)
    return _linked([run for run in runs if len(run) > 1], slope) or [
        max(runs, key=lambda run: run[0].correlation)
    ]


def _linked(parts: Sequence[list[_Anchor]], slope: float) -> list[list[_Anchor]]:
    runs: list[list[_Anchor]] = []
    for part in parts:
        if runs and _continues(runs[-1][-1], part[0], slope):
            runs[-1].extend(part)
        else:
            runs.append(list(part))
    return runs


def _continues(earlier: _Anchor, later: _Anchor, slope: float) -> bool:
    distance = later.at - earlier.at
    off = later.exact_lag - earlier.exact_lag - slope * distance
    return abs(off) <= _JUMP_SAMPLES + _SLOPE_DOUBT * distance


def _fitted(run: Sequence[_Anchor], slope: float, length: int) -> Line:
    first, last = run[0].at - length / 2, run[-1].at + length / 2
    at = np.array([anchor.at for anchor in run])
    exact = np.array([anchor.exact_lag for anchor in run])
    if len({anchor.lag for anchor in run}) == 1 and abs(float(np.median(exact)) - run[0].lag) < 0.1:
        return Line(first, last, float(run[0].lag), 0.0, len(run))
    if len(run) >= 4 and at[-1] - at[0] >= 3 * length:
        slope = float(np.polyfit(at - at[0], exact, 1)[0])
    return Line(first, last, float(np.mean(exact - slope * at)), slope, len(run))


def jumps(lines: Sequence[Line]) -> list[float]:
    """The change of the offset, in samples, from each line to the next."""
    return [later.cloud_at(later.first) - earlier.cloud_at(later.first) for earlier, later in pairwise(lines)]


def stretch(samples: Source, start: int, count: int) -> Floats:
    """`count` samples from `start` on; silence outside of the source."""
    inside = samples[max(0, start) : max(0, start + count)]
    if inside.size == count:
        return inside.astype(np.float32)
    padded = np.zeros(count, np.float32)
    before = max(0, -start)
    padded[before : before + inside.size] = inside
    return padded
