"""Compares the live layer of a role with the same role's channel of the cloud recording.

Both captured the same voice on different paths, and start at different times. `anchors` aligns them; blocks of 20 ms are then compared
one by one. This module measures; `domain/verdict.judge` interprets the result. Both sources are read in pieces, so they may
be files; an hour takes about 30 MB of memory.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from callreel.audio.anchors import Line, find_lines, jumps, stretch
from callreel.audio.envelope import block_rms, sound_threshold
from callreel.audio.samples import TELEPHONE_HZ, Floats
from callreel.audio.source import Source, Stretch
from callreel.domain.call import Role
from callreel.domain.verdict import Comparison

Flags = npt.NDArray[np.bool_]

_BLOCK_MS = 20
_MOST_BLOCKS = 1_500
_ALIKE = 0.5
"""From this correlation on, a block of the live layer contains the sound of the cloud recording."""
_SKEW_SAMPLES = 0.4
"""How far the alignment may drift from the first to the last sample of a piece."""
_TAPS = 16


@dataclass(frozen=True, slots=True)
class _Blocks:
    """For each block [n] of the cloud recording: RMS in both, correlation, and its middle's place in the live layer."""

    cloud: Floats
    live: Floats
    correlation: Floats
    live_at: Floats


def compare(
    role: Role,
    live: Source,
    cloud: Source,
    rate_hz: int = TELEPHONE_HZ,
    *,
    concealed_gaps_ms: Sequence[tuple[int, int]] = (),
) -> Comparison:
    """How `live` [n] differs from `cloud` [m], both mono at `rate_hz`; either may be empty.

    `concealed_gaps_ms` are gaps of the live layer. Gain does not matter, nor does noise 20 dB below the voice. Any
    offset is found, to the sample where there is no drift; drift up to about 200 ppm; jumps within the call up to half a
    second. Durations are multiples of one block, 20 ms.
    """
    block = rate_hz * _BLOCK_MS // 1000
    rms = [block_rms(samples, block) for samples in (live, cloud)]
    audible = [bool(np.any(part > sound_threshold(part))) for part in rms]
    aligned = all(audible)
    lines = find_lines(live, cloud, rate_hz) if aligned else (Line(0, live.size, 0.0, 0.0, 0),)
    # Blocks of the cloud recording begin where those of the live layer do, so a lost frame is one block and not parts of
    # two; less than 20 ms before the first are skipped.
    phase = round(lines[0].offset) % block
    shifted = [replace(line, offset=line.offset - phase) for line in lines]
    blocks = _compared(live, Stretch(cloud, phase), shifted, block)
    cloud_sound, live_sound = _sound(blocks)
    different = blocks.correlation < _ALIKE
    missing = cloud_sound & different
    before, after = blocks.live_at < 0, blocks.live_at >= live.size
    in_gaps = _within(blocks.live_at, concealed_gaps_ms, rate_hz, block) & ~before & ~after
    extra = np.count_nonzero(live_sound & ~cloud_sound & different) + _beyond(
        rms[0], lines, block, cloud.size
    )
    main = max(lines, key=lambda line: line.anchors)
    return Comparison(
        role=role,
        live_ms=live.size * 1000 // rate_hz,
        cloud_ms=cloud.size * 1000 // rate_hz,
        offset_ms=lines[0].offset * 1000 / rate_hz,
        drift_ppm=main.slope * 1e6,
        correlation=_pooled(blocks, cloud_sound & live_sound) if aligned else None,
        unmatched_ms=int(np.count_nonzero(missing)) * _BLOCK_MS,
        silent=not any(audible),
        missing_start_ms=int(np.count_nonzero(missing & before)) * _BLOCK_MS,
        missing_end_ms=int(np.count_nonzero(missing & after)) * _BLOCK_MS,
        in_gaps_ms=int(np.count_nonzero(missing & in_gaps)) * _BLOCK_MS,
        live_only_ms=int(extra) * _BLOCK_MS,
        jump_ms=max((abs(jump) for jump in jumps(lines)), default=0.0) * 1000 / rate_hz,
    )


def _compared(live: Source, cloud: Source, lines: Sequence[Line], block: int) -> _Blocks:
    """All whole blocks of `cloud`, each along the line that is valid there; between two lines, along the better one."""
    count = cloud.size // block
    edges = [0]
    for earlier, later in pairwise(lines):
        ends, begins = earlier.cloud_at(earlier.last), later.cloud_at(later.first)
        edges += sorted(min(max(int(at / block), edges[-1]), count) for at in (ends, begins))
    edges.append(count)
    parts = []
    for index, (first, last) in enumerate(pairwise(edges)):
        part = _along(live, cloud, lines[index // 2], block, first, last)
        if index % 2:
            part = _better(part, _along(live, cloud, lines[index // 2 + 1], block, first, last))
        parts.append(part)
    return _joined(parts)


def _along(live: Source, cloud: Source, line: Line, block: int, first: int, last: int) -> _Blocks:
    """Blocks `first` to `last` of `cloud` against the live samples that `line` puts there."""
    step = _MOST_BLOCKS
    if line.slope:
        step = min(step, max(1, int(_SKEW_SAMPLES / abs(line.slope) / block)))
    parts = [_blocks(live, cloud, line, block, at, min(at + step, last)) for at in range(first, last, step)]
    return _joined(parts)


def _blocks(live: Source, cloud: Source, line: Line, block: int, first: int, last: int) -> _Blocks:
    start, count = first * block, (last - first) * block
    # One shift for the whole piece, exact in its middle.
    live_start = line.live_at(start + count / 2) - count / 2
    cloud_rows = stretch(cloud, start, count).reshape(-1, block)
    live_rows = _between(live, live_start, count).reshape(-1, block)
    energies = [np.einsum("ij,ij->i", rows, rows) for rows in (cloud_rows, live_rows)]
    product = np.einsum("ij,ij->i", cloud_rows, live_rows)
    return _Blocks(
        cloud=np.sqrt(energies[0] / block),
        live=np.sqrt(energies[1] / block),
        correlation=product / np.maximum(np.sqrt(energies[0]) * np.sqrt(energies[1]), 1.0),
        live_at=(live_start + (np.arange(last - first) + 0.5) * block).astype(np.float32),
    )


def _between(samples: Source, start: float, count: int) -> Floats:
    """`count` samples from `start` on, interpolated by a windowed sinc of 16 taps where `start` is not whole."""
    whole = math.floor(start + 0.02)
    fraction = start - whole
    if abs(fraction) < 0.02:
        return stretch(samples, whole, count)
    taps = np.arange(_TAPS) - (_TAPS // 2 - 1) - fraction
    kernel = (np.sinc(taps) * np.cos(np.pi * taps / (_TAPS + 1)) ** 2).astype(np.float32)
    around = stretch(samples, whole - (_TAPS // 2 - 1), count + _TAPS - 1)
    return np.convolve(around, kernel[::-1], mode="valid")


def _better(one: _Blocks, other: _Blocks) -> _Blocks:
    take = other.correlation > one.correlation
    pairs = zip(_fields(one), _fields(other), strict=True)
    return _Blocks(*(np.where(take, second, first) for first, second in pairs))


def _joined(parts: Sequence[_Blocks]) -> _Blocks:
    if not parts:
        return _Blocks(*(np.zeros(0, np.float32) for _ in range(4)))
    return _Blocks(*(np.concatenate(arrays) for arrays in zip(*map(_fields, parts), strict=True)))


def _fields(blocks: _Blocks) -> Iterator[Floats]:
    yield from (blocks.cloud, blocks.live, blocks.correlation, blocks.live_at)


def _sound(blocks: _Blocks) -> tuple[Flags, Flags]:
    """Which blocks contain sound in the cloud recording and in the live layer, by one threshold for both."""
    cloud, live = blocks.cloud, blocks.live
    both = (cloud > sound_threshold(cloud)) & (live > sound_threshold(live))
    gain = float(np.sqrt(np.sum(cloud[both] ** 2) / np.sum(live[both] ** 2))) if np.any(both) else 1.0
    # Sound below the background of the other layer cannot be found there.
    soft = [float(np.percentile(part, 10)) if part.size else 0.0 for part in (cloud, live)]
    return cloud > sound_threshold(cloud, soft[1] * gain), live > sound_threshold(live, soft[0] / gain)


def _pooled(blocks: _Blocks, both: Flags) -> float | None:
    """Correlation of the blocks with sound in both, weighted by energy, 0 to 1. Slow changes of gain do not lower it."""
    weight = blocks.cloud[both] * blocks.live[both]
    total = float(np.sum(weight, dtype=np.float64))
    if not total:
        return None
    return min(1.0, max(0.0, float(np.sum(weight * blocks.correlation[both], dtype=np.float64)) / total))


def _within(live_at: Floats, gaps_ms: Sequence[tuple[int, int]], rate_hz: int, block: int) -> Flags:
    """Which blocks touch one of the gaps."""
    inside = np.zeros(live_at.size, np.bool_)
    for start_ms, end_ms in gaps_ms:
        first, last = start_ms * rate_hz / 1000 - block, end_ms * rate_hz / 1000 + block
        inside |= (live_at > first) & (live_at < last)
    return inside


def _beyond(live_rms: Floats, lines: Sequence[Line], block: int, cloud_samples: int) -> int:
    """Blocks of the live layer with sound before the cloud recording begins, or after it ends."""
    middles = (np.arange(live_rms.size) + 0.5) * block
    sound = live_rms > sound_threshold(live_rms)
    outside = (middles < lines[0].live_at(0)) | (middles >= lines[-1].live_at(cloud_samples))
    return int(np.count_nonzero(sound & outside))
