"""When a party spoke, to 10 ms: voice activity detection, whose edges are then moved to where the sound begins and ends.

The detector decides what is speech; its edges lag by up to 300 ms at a soft beginning. On the separate channel of one party
the sound around detected speech is that party's, so its level places the edges.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from callreel.audio.samples import SAMPLES_PER_MS, Samples
from callreel.audio.segmenter import SegmenterOptions, SpeechDetector, SpeechSpan, speech_spans

FRAME_MS = 10
MIN_SILENCE_MS = 288
"""Silence that ends speech, as whole windows of detection: `domain/measures.JOINED_MS`."""
OUTWARD_FRAMES, INWARD_FRAMES = 40, 20
"""How far an edge moves at most: the detector's delay at a soft beginning, and its lag after an end."""
QUIET_FRAMES = 6
"""So many quiet frames in a row end the sound that an edge follows; a shorter dip is within a word."""
LEAST_RMS = 20.0
"""Of 32,768: mu-law's steps around silence and comfort noise are below it."""
OVER_NOISE = 2.0
"""Sound is 6 dB above the noise of its channel, which is the median level outside of speech, without digital silence."""
UNDER_SPEECH = 0.1
"""Never above a level 20 dB below the speech of the channel: a noisy channel would lose words."""

_OPTIONS = SegmenterOptions(
    pre_ms=0, post_ms=0, min_silence_ms=MIN_SILENCE_MS, soft_max_ms=1 << 40, hard_max_ms=1 << 40
)


def voice_activity(blocks8k: Iterable[Samples], detector: SpeechDetector) -> list[tuple[int, int]]:
    """From and to in ms of each stretch of speech of a whole track, in order. Memory: 400 bytes per second."""
    levels: list[npt.NDArray[np.float32]] = []
    spans = list(speech_spans(_measured(blocks8k, levels), detector, _OPTIONS))
    rms = np.concatenate(levels) if levels else np.zeros(0, np.float32)
    loud = rms > _threshold(rms, spans)
    edges: list[tuple[int, int]] = []
    for span in spans:
        start, end = _start(loud, span.start_ms // FRAME_MS), _end(loud, -(-span.end_ms // FRAME_MS))
        if edges and start * FRAME_MS <= edges[-1][1]:
            edges[-1] = (edges[-1][0], max(edges[-1][1], end * FRAME_MS))
        elif start < end:
            edges.append((start * FRAME_MS, end * FRAME_MS))
    return edges


def _threshold(rms: npt.NDArray[np.float32], spans: Sequence[SpeechSpan]) -> float:
    """The level from which a frame counts as sound."""
    spoken, around = np.zeros(rms.size, np.bool_), np.zeros(rms.size, np.bool_)
    for span in spans:
        start, end = span.start_ms // FRAME_MS, span.end_ms // FRAME_MS
        spoken[start:end] = True
        around[max(0, start - OUTWARD_FRAMES) : end + OUTWARD_FRAMES] = True
    if not spoken.any():
        return LEAST_RMS
    # Zeros are pauses, lost frames or a suppressed background. Without them soft edges of words, which were not detected,
    # could be most of what is left, so the noise is taken from further away where there is any.
    distant = rms[~around & (rms > 0)]
    noise = distant if distant.size else rms[~spoken]
    over_noise = OVER_NOISE * float(np.median(noise)) if noise.size else 0.0
    return max(LEAST_RMS, min(over_noise, UNDER_SPEECH * float(np.median(rms[spoken]))))


def _measured(blocks8k: Iterable[Samples], levels: list[npt.NDArray[np.float32]]) -> Iterator[Samples]:
    """The blocks, whose levels by frame are added to `levels`."""
    size, rest = FRAME_MS * SAMPLES_PER_MS, np.zeros(0, np.int16)
    for block in blocks8k:
        samples = np.concatenate([rest, block]) if rest.size else block
        whole = samples.size - samples.size % size
        rest = samples[whole:]
        frames = samples[:whole].reshape(-1, size).astype(np.float32)
        levels.append(np.sqrt(np.mean(frames**2, axis=1)))
        yield block


def _start(loud: npt.NDArray[np.bool_], frame: int) -> int:
    """The frame in which the sound begins that is detected as speech from `frame` on."""
    reversed_end = _end(loud[::-1], loud.size - frame)
    return loud.size - reversed_end


def _end(loud: npt.NDArray[np.bool_], frame: int) -> int:
    """The frame after the last one of the sound that is detected as speech up to `frame`."""
    frame = min(frame, loud.size)
    last, quiet = frame, 0
    for at in range(frame, min(frame + OUTWARD_FRAMES, loud.size)):
        quiet = 0 if loud[at] else quiet + 1
        if loud[at]:
            last = at + 1
        elif quiet >= QUIET_FRAMES:
            break
    if last > frame:
        return last
    inward = np.flatnonzero(loud[max(0, frame - INWARD_FRAMES) : frame])
    return max(0, frame - INWARD_FRAMES) + int(inward[-1]) + 1 if inward.size else frame
