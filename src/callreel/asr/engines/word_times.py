"""Where the words of a Whisper segment begin and end.

Cross-attention says roughly where a word begins: half of the starts lie within 45 ms, every tenth is more than 160 ms off.
Three corrections: attention is late by a constant; pauses belong to no word; and a word takes about as long as its sounds
need at the speaker's pace. The last one finds the starts that fit both attention and durations best, by dynamic programming
(every tenth start is then more than 115 ms off; measured on two halves of the calls in docs/words.md).
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from callreel.asr.engine import RecognizedWord
from callreel.audio.samples import ASR_SAMPLES_PER_MS, Samples

Floats: TypeAlias = np.ndarray[tuple[int], np.dtype[np.floating[Any]]]

LONGEST_WORD = 40
_LATE_MS = 90
"""The cross-attention places words this much later than forced alignment does (median of 775 words)."""
_STEP_MS = 10
_BELOW_PEAK_DB = 35.0
_SILENCE_MS = 120
_REACH_MS = 300
"""How far a start may be moved."""
_ATTENTION_MS = 150.0
"""Standard deviation of a start by attention; the least of what was tried that gives durations their say."""
_DURATION = 0.5
"""Standard deviation of the logarithm of a word's duration over the expected one."""
_PAUSE_MS = 60
"""Longer gaps are pauses: the word before one ends where it does, whenever the next one begins."""
_LONGEST_MS = 600
"""A longer word is drawn out or has a pause within, and counts as this long for the speaker's pace."""

_VOWELS = re.compile("[aeiouy]+")
_CONSONANTS = re.compile("[b-df-hj-np-tv-xz]")
_DIGITS = re.compile(r"\d")
_OTHERS = re.compile(r"[^\W\da-z_]")


def placed_words(aligned: Sequence[dict[str, Any]], samples: Samples) -> list[RecognizedWord]:
    """Words with times; pieces without a space before them, as punctuation, belong to the word before.

    `aligned` is what faster-whisper finds in the cross-attention, `samples` the segment at 16 kHz. A word that lies wholly in
    the padding was invented: there is no audio.
    """
    levels = _levels_db(samples)
    length_ms = samples.size // ASR_SAMPLES_PER_MS
    words: list[RecognizedWord] = []
    for piece in aligned:
        text = piece["word"].strip()
        start_ms, end_ms = round(1000 * piece["start"]), round(1000 * piece["end"])
        if not text or start_ms >= length_ms:
            continue
        start_ms, end_ms = max(0, start_ms - _LATE_MS), max(0, end_ms - _LATE_MS)
        if words and (not piece["word"].startswith(" ") or not has_words(text)):
            before = words.pop()
            word = RecognizedWord(before.text + text, before.start_ms, before.end_ms, before.confidence)
        elif not has_words(text):
            continue
        else:
            start_ms, end_ms = _without_silence(start_ms, end_ms, levels)
            word = RecognizedWord(text, start_ms, end_ms, float(piece["probability"]))
        words.append(word)
    return fitted([word for word in words if len(word.text) <= LONGEST_WORD])


def has_words(text: str) -> bool:
    return any(map(str.isalnum, text))


def fitted(words: Sequence[RecognizedWord]) -> list[RecognizedWord]:
    """The words with starts that fit their durations; a word ends at the latest where the next one begins."""
    if len(words) < 2:
        return list(words)
    starts = np.array([word.start_ms for word in words]) / _STEP_MS
    ends = np.array([word.end_ms for word in words]) / _STEP_MS
    expected = _expected_steps([word.text for word in words], np.maximum(ends - starts, 1))
    moves = np.arange(-_REACH_MS // _STEP_MS, _REACH_MS // _STEP_MS + 1)
    places = np.maximum(starts[:, None] + moves, 0)
    by_attention = -((moves * _STEP_MS) ** 2) / (2 * _ATTENTION_MS**2)
    score, best = by_attention, list[np.ndarray[Any, np.dtype[np.intp]]]()
    for at in range(1, len(words)):
        steps = places[at] - places[at - 1][:, None]
        pause = (starts[at] - ends[at - 1]) * _STEP_MS > _PAUSE_MS
        fit = np.zeros_like(steps) if pause else _fit(steps, expected[at - 1])
        total = score[:, None] + np.where(steps < 2, -1e9, fit)
        best.append(total.argmax(axis=0))
        score = total.max(axis=0) + by_attention
    path = [int((score + _fit(ends[-1] - places[-1], expected[-1])).argmax())]
    for choices in reversed(best):
        path.append(int(choices[path[-1]]))
    found = np.maximum.accumulate([places[at, move] for at, move in enumerate(reversed(path))]) * _STEP_MS
    found_ms = [round(float(start)) for start in found]
    return [
        RecognizedWord(word.text, start_ms, max(start_ms, min(word.end_ms, next_ms)), word.confidence)
        for word, start_ms, next_ms in zip(words, found_ms, [*found_ms[1:], words[-1].end_ms], strict=True)
    ]


def _fit(steps: Any, expected: float) -> Any:
    """The logarithmic likelihood of a word that takes `steps`."""
    return -((np.log(np.maximum(steps, 1) / expected) / _DURATION) ** 2) / 2


def _expected_steps(texts: Sequence[str], steps: Floats) -> Floats:
    """How long each word would take at the pace of all together."""
    sounds = np.array([_sounds(text) for text in texts])
    expected: Floats = sounds * np.minimum(steps, _LONGEST_MS // _STEP_MS).sum() / sounds.sum()
    return expected


def _sounds(text: str) -> float:
    """How long a word takes, in vowels: English spelling, digit by digit; other scripts by their letters."""
    plain = unicodedata.normalize("NFD", text.casefold())
    vowels, consonants, digits, others = (
        len(kind.findall(plain)) for kind in (_VOWELS, _CONSONANTS, _DIGITS, _OTHERS)
    )
    last = 0.5 * plain.endswith((".", ",", "?", "!"))  # drawn out
    return 1.2 * max(1, vowels + digits) + 0.6 * consonants + 0.8 * others + last


def _levels_db(samples: Samples) -> Floats:
    """The level of every 10 ms, averaged over three of them."""
    step = _STEP_MS * ASR_SAMPLES_PER_MS
    blocks = samples[: samples.size // step * step].astype(np.float32).reshape(-1, step)
    levels = 10 * np.log10(np.mean(blocks**2, axis=1) + 1)
    padded = np.pad(levels, 1, mode="edge") if levels.size else levels
    return np.convolve(padded, np.full(3, 1 / 3, np.float32), "valid").astype(np.float32)


def _without_silence(start_ms: int, end_ms: int, levels: Floats) -> tuple[int, int]:
    """The word's span without pauses around its loudest part: attention gives each pause to a word beside it."""
    first, last = start_ms // _STEP_MS, min(end_ms // _STEP_MS, levels.size)
    if last - first < 3:
        return start_ms, end_ms
    within = levels[first:last]
    quiet = within < np.percentile(levels, 95) - _BELOW_PEAK_DB
    peak = int(np.argmax(within))
    begin, finish = _pause(quiet[peak::-1]), _pause(quiet[peak:])
    return (
        start_ms if begin is None else (first + peak - begin + 1) * _STEP_MS,
        end_ms if finish is None else (first + peak + finish) * _STEP_MS,
    )


def _pause(quiet: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int | None:
    """Where the first run of `_SILENCE_MS` begins; None without one."""
    run, needed = 0, _SILENCE_MS // _STEP_MS
    for at, silent in enumerate(quiet):
        run = run + 1 if silent else 0
        if run == needed:
            return at - needed + 1
    return None
