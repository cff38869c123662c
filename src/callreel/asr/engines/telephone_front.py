"""The telephone front end of pocketsphinx: narrow-band samples to the cepstra that its wide-band model expects.

The en-us model was trained on speech up to 6,800 Hz; a telephone ends near 3,400. So a small network guesses the cepstra
of the wide-band signal from the log-mel energies of the narrow one, a frame and four on either side at a time. It is not
a recogniser and knows no words. It is trained by scripts/train_telephone_front.py, which also says on what. Features
follow sphinxbase's `fe` (25.625 ms Hamming windows every 10 ms, pre-emphasis 0.97, triangular filters of unit area with
edges rounded to FFT lines) without its noise removal. Figures: reference/speech.md, section 3, and docs/words.md.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from callreel.domain.errors import EngineError

Floats = npt.NDArray[np.float32]

RATE_HZ = 8000
CEPSTRA = 13
FRAME_S = 0.01
CONTEXT = 4
"""Frames that the network sees on either side of the one it is asked about."""

AHEAD_FRAMES = 5
"""How much later than a frame its level is judged. With 0, 5, 10, 20 the 11 calls of docs/words.md have 26.6, 25.2, 26.1 and
26.1 % of words wrong, which is no difference; each one costs every word 10 ms."""

SETTLE_FRAMES = 60
"""Frames that the level of an utterance is first judged by, while it is still coming: with the segmenter's margin of half
a second, 0.1 s of them are speech."""

WEIGHTS = Path(__file__).parent / "data" / "telephone_front.npz"

_WINDOW_S = 0.025625
_PRE_EMPHASIS = 0.97
_LIFTER = 22
_NOISE_RMS = 2.0
"""Noise in 16-bit steps that is taken to be under everything: digital silence must not be an extreme of its own."""


@dataclass(frozen=True, slots=True)
class MelBank:
    """Log-mel energies of mono samples at `rate_hz` by triangular filters between two edges in Hz."""

    rate_hz: int
    lower_hz: float
    upper_hz: float
    filters: int
    fft: int

    @property
    def window(self) -> int:
        """Samples of a frame."""
        return round(_WINDOW_S * self.rate_hz + 1e-9)

    @property
    def shift(self) -> int:
        """Samples from a frame to the next."""
        return round(FRAME_S * self.rate_hz)

    def energies(self, samples: npt.NDArray[np.int16] | Floats, before: float = 0.0) -> Floats:
        """Natural logarithms [frames, filters] for samples [n] on the scale of 16 bits. No frame under one window.

        `before` is the sample that came before the first one.
        """
        frames = max(0, (samples.size - self.window) // self.shift + 1)
        if frames == 0:
            return np.zeros((0, self.filters), np.float32)
        sharp = samples.astype(np.float32)
        sharp[1:] -= _PRE_EMPHASIS * samples[:-1].astype(np.float32)
        sharp[0] -= _PRE_EMPHASIS * before
        pieces = np.lib.stride_tricks.sliding_window_view(sharp, self.window)[:: self.shift][:frames]
        hamming, filters, floor = _tables(self)
        spectrum = np.abs(np.fft.rfft(pieces * hamming, self.fft)).astype(np.float32) ** 2
        energies: Floats = np.log(spectrum @ filters.T + floor)
        return energies


NARROW = MelBank(RATE_HZ, 130, 3751, 19, 256)
"""What the telephone lets through: the lowest 19 of the model's own 25 filters."""

WIDE = MelBank(16000, 130, 6800, 25, 512)
"""The model's own front end, from its `feat.params`."""


def cepstra(energies: Floats) -> Floats:
    """Liftered cepstra [frames, 13] of log-mel energies [frames, filters]: sphinxbase's `-transform dct -lifter 22`."""
    filters = energies.shape[1]
    order = np.arange(CEPSTRA)[:, None]
    basis = np.cos(np.pi * order * (np.arange(filters) + 0.5) / filters) * np.sqrt(2 / filters)
    basis[0] *= np.sqrt(0.5)
    lift = 1 + _LIFTER / 2 * np.sin(np.pi * np.arange(CEPSTRA) / _LIFTER)
    made: Floats = (energies @ basis.T * lift).astype(np.float32)
    return made


def whole_level(energies: Floats) -> Floats:
    """[frames, filters] with the utterance's mean removed."""
    return energies - energies.mean(axis=0) if len(energies) else energies


def live_level(energies: Floats, first: int = 0, until: int | None = None) -> Floats:
    """Frames [first, until) with the mean removed of what was heard by `AHEAD_FRAMES` after each.

    The mean of an utterance that is still coming. It is taken over `SETTLE_FRAMES` at least, if there are so many.
    """
    until = len(energies) if until is None else until
    sums = np.cumsum(energies, axis=0, dtype=np.float64)
    heard = np.maximum(np.arange(first, until) + 1 + AHEAD_FRAMES, SETTLE_FRAMES)
    heard = np.minimum(heard, len(sums))
    level: Floats = (energies[first:until] - sums[heard - 1] / heard[:, None]).astype(np.float32)
    return level


def in_context(level: Floats) -> Floats:
    """Each frame with its neighbours, edges repeated: [frames, filters] to [frames, filters * 9]."""
    if not len(level):
        return np.zeros((0, level.shape[1] * (2 * CONTEXT + 1)), np.float32)
    padded = np.pad(level, ((CONTEXT, CONTEXT), (0, 0)), mode="edge")
    return np.concatenate([padded[at : at + len(level)] for at in range(2 * CONTEXT + 1)], axis=1)


class TelephoneFront:
    """The trained network: 171 inputs, two hidden layers of rectifiers, 13 cepstra. About 3 ms for a second of speech."""

    def __init__(self, layers: list[tuple[Floats, Floats]]) -> None:
        self._layers = layers

    @classmethod
    def shipped(cls) -> "TelephoneFront":
        """The one that comes with Callreel. Raises EngineError if its weights are missing or of another shape."""
        try:
            with np.load(WEIGHTS) as kept:
                layers = [
                    (kept[f"w{n}"].astype(np.float32), kept[f"b{n}"].astype(np.float32)) for n in range(3)
                ]
        except (OSError, KeyError, ValueError) as error:
            raise EngineError(
                f"pocketsphinx's telephone front end: expected weights in {WEIGHTS.name}, found none"
            ) from error
        if layers[0][0].shape[0] != NARROW.filters * (2 * CONTEXT + 1) or layers[-1][0].shape[1] != CEPSTRA:
            raise EngineError("pocketsphinx's telephone front end: the shipped weights have another shape")
        return cls(layers)

    def cepstra(self, samples8k: npt.NDArray[np.int16] | Floats) -> Floats:
        """Wide-band cepstra [frames, 13] as the model expects them, for the whole utterance [n] at 8 kHz."""
        return self.mapped(in_context(whole_level(NARROW.energies(samples8k))))

    def mapped(self, inputs: Floats) -> Floats:
        """Cepstra [frames, 13] of frames in their context [frames, 171]."""
        values = inputs
        for weights, bias in self._layers[:-1]:
            values = np.maximum(values @ weights + bias, 0)
        weights, bias = self._layers[-1]
        return values @ weights + bias


class LiveFront:
    """The same for one utterance whose samples are still coming: cepstra of each frame as soon as they can be known.

    That is 40 ms after the frame, for its context, and not within the first `SETTLE_FRAMES`. Where the whole utterance
    has its mean removed, each frame here has the mean of what was heard up to `AHEAD_FRAMES` after it. Memory: the
    energies of all frames, 7.6 kB a second.
    """

    def __init__(self, front: TelephoneFront) -> None:
        self._front = front
        self._samples = np.zeros(0, np.float32)
        self._before = 0.0
        self._energies = np.zeros((0, NARROW.filters), np.float32)
        self._level = np.zeros((0, NARROW.filters), np.float32)
        self._given = 0

    def push(self, samples8k: npt.NDArray[np.int16] | Floats) -> Floats:
        """Cepstra [m, 13] that have become known with the next samples [n] at 8 kHz; often none."""
        self._hear(samples8k)
        if len(self._energies) < SETTLE_FRAMES:
            return np.zeros((0, CEPSTRA), np.float32)
        self._normalise(len(self._energies) - AHEAD_FRAMES)
        return self._map(len(self._level) - CONTEXT)

    def finish(self, samples8k: npt.NDArray[np.int16] | Floats) -> Floats:
        """The rest, with the last samples [n]: all pushes and this give a frame for each of the utterance."""
        self._hear(samples8k)
        self._normalise(len(self._energies))
        return self._map(len(self._level))

    def _hear(self, samples8k: npt.NDArray[np.int16] | Floats) -> None:
        waiting = np.concatenate([self._samples, samples8k.astype(np.float32)])
        energies = NARROW.energies(waiting, self._before)
        taken = len(energies) * NARROW.shift
        self._samples, self._before = waiting[taken:], float(waiting[taken - 1]) if taken else self._before
        self._energies = np.concatenate([self._energies, energies])

    def _normalise(self, until: int) -> None:
        first = len(self._level)
        if until <= first:
            return
        self._level = np.concatenate([self._level, live_level(self._energies, first, until)])

    def _map(self, until: int) -> Floats:
        first, last = self._given, len(self._level) - 1
        if until <= first:
            return np.zeros((0, CEPSTRA), np.float32)
        self._given = until
        frames = np.arange(first, until)
        inputs = [self._level[np.clip(frames + at, 0, last)] for at in range(-CONTEXT, CONTEXT + 1)]
        return self._front.mapped(np.concatenate(inputs, axis=1))


@cache
def _tables(bank: MelBank) -> tuple[Floats, Floats, Floats]:
    """Window [window], filters [filters, fft/2 + 1] and the energy of the noise floor [filters]."""
    hamming = np.hamming(bank.window)
    line_hz = bank.rate_hz / bank.fft
    edges_hz = _hertz(np.linspace(_mel(bank.lower_hz), _mel(bank.upper_hz), bank.filters + 2))
    edges = np.round(edges_hz / line_hz) * line_hz
    lines = np.arange(bank.fft // 2 + 1) * line_hz
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (lines - low) / (middle - low), (high - lines) / (high - middle)
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)
    turn = 2 * np.pi * lines / bank.rate_hz
    sharpened = 1 + _PRE_EMPHASIS**2 - 2 * _PRE_EMPHASIS * np.cos(turn)
    floor = filters @ (_NOISE_RMS**2 * float(np.sum(hamming**2)) * sharpened)
    return hamming.astype(np.float32), filters.astype(np.float32), floor.astype(np.float32)


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def _hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    hertz: npt.NDArray[np.float64] = 700 * (10 ** (mel / 2595) - 1)
    return hertz
