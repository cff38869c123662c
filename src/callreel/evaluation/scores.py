"""Scores of transcripts against references: word errors, latencies, attribution to parties.

Pure arithmetic over texts and times; nothing is decoded here. Words are compared after `asr/normalization.py`.
jiwer and meeteval (extra `evaluate`)
are imported when a function that needs them is called; without them it raises ModuleNotFoundError.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from callreel.asr.normalization import normal, normal_words
from callreel.asr.stability import same_word
from callreel.audio.segmenter import SpeechSpan

if TYPE_CHECKING:
    from callreel.domain.call import Role

TCP_COLLAR_S = 5
"""How far from its reference a word may lie to count as recognized, for tcpWER and tcORC-WER."""

_COVERED = 0.98
_TOUCHED_MS = 20


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Counts of words; `words` is those of the reference."""

    words: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """Word error rate, 0 upwards (above 1 with many insertions). None without a reference word."""
        return self.errors / self.words if self.words else None

    def __add__(self, other: WordErrors) -> WordErrors:
        return WordErrors(
            self.words + other.words,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """A run of words that the two texts have in common (`same`) or not; either side may be empty if not."""

    same: bool
    reference: tuple[str, ...]
    recognized: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word of a reference, with where it was said, in ms."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Spoken:
    """Something a party said, in the reference or in a transcript. `words` may be empty where their times are not known."""

    role: Role
    start_ms: int
    end_ms: int
    text: str
    words: tuple[SpokenWord, ...] = ()


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What cutting one track into segments did to its words."""

    words: int = 0
    lost: int = 0
    """Words less than half of which lie in a segment."""
    cut: int = 0
    """Words that lie in two segments, or not wholly in one."""
    turns: int = 0
    segments: int = 0
    false_segments: int = 0
    """Segments without speech."""
    decision_delays_ms: tuple[int, ...] = ()
    """From the end of each turn to the decision that its last segment is over."""

    def __add__(self, other: Segmentation) -> Segmentation:
        return Segmentation(
            self.words + other.words,
            self.lost + other.lost,
            self.cut + other.cut,
            self.turns + other.turns,
            self.segments + other.segments,
            self.false_segments + other.false_segments,
            self.decision_delays_ms + other.decision_delays_ms,
        )


@dataclass(frozen=True, slots=True)
class SpeakerScore:
    """Rates by meeteval, 0 upwards."""

    cp_wer: float
    """Words and who said them."""
    orc_wer: float
    """Words alone, whatever their party."""
    tcp_wer: float
    """As `cp_wer`, but a word must lie within `TCP_COLLAR_S` of where it was said."""
    misattributed_in_time: float
    """tcpWER minus tcORC-WER, both over turns: as `misattributed`, but words must lie where they were said."""

    @property
    def misattributed(self) -> float:
        """0 when every word is right and attributed to its party.

        With wrong words it may be above 0 by chance: ORC-WER puts each turn on the channel where it costs fewest errors,
        even one of which not a word is recognized on either, if surplus words of another time are there to be its
        substitutions. That needs no word on the wrong party, and `misattributed_in_time` does not count it.
        """
        return self.cp_wer - self.orc_wer


def word_errors(reference: str, recognized: str) -> WordErrors:
    """Substituted, missing and added words of `recognized`. Needs jiwer."""
    expected, got = normal(reference), normal(recognized)
    if not expected:
        return WordErrors(insertions=len(got.split()))
    import jiwer

    found = jiwer.process_words(expected, got)
    return WordErrors(len(expected.split()), found.substitutions, found.deletions, found.insertions)


def differences(reference: str, recognized: str) -> list[Difference]:
    """Both texts in normal words, in order, cut where they begin or cease to agree. Needs jiwer."""
    expected, got = normal_words(reference), normal_words(recognized)
    return [
        Difference(same, tuple(expected[a:b]), tuple(got[c:d]))
        for same, a, b, c, d in _alignment(expected, got)
    ]


def display_delays_ms(said: Sequence[SpokenWord], recognized: Sequence[tuple[str, int]]) -> list[int]:
    """From the end of each word said to when it was shown, for those that were recognized. Needs jiwer.

    `recognized` is (word, time it was shown) in the order of the words in the audio. Matching is by least edits.
    """
    return [at_ms - spoken.end_ms for spoken, at_ms in _matched(said, recognized)]


def start_errors_ms(said: Sequence[SpokenWord], recognized: Sequence[tuple[str, int]]) -> list[int]:
    """How far the start of each recognized word is from where it was said; `recognized` is (word, start)."""
    return [abs(start_ms - spoken.start_ms) for spoken, start_ms in _matched(said, recognized)]


def _matched(
    said: Sequence[SpokenWord], recognized: Sequence[tuple[str, int]]
) -> Iterator[tuple[SpokenWord, int]]:
    expected = [(word, spoken) for spoken in said for word in normal_words(spoken.text)]
    got = [(word, at_ms) for text, at_ms in recognized for word in normal_words(text)]
    for same, a, b, c, _ in _alignment([word for word, _ in expected], [word for word, _ in got]):
        if same:
            yield from ((expected[a + step][1], got[c + step][1]) for step in range(b - a))


def retracted(shown: Iterable[Sequence[str]]) -> int:
    """How many words were shown and then replaced or removed, over the successive texts of one segment."""
    count = 0
    before: tuple[str, ...] = ()
    for words in shown:
        kept = next(
            (at for at, (old, new) in enumerate(zip(before, words, strict=False)) if not same_word(old, new)),
            min(len(before), len(words)),
        )
        count += len(before) - kept
        before = tuple(words)
    return count


def segmentation(turns: Sequence[Spoken], segments: Sequence[SpeechSpan]) -> Segmentation:
    """Judges the segments of one track against the turns of the same track, whose words have times."""
    words = [word for turn in turns for word in turn.words]
    shares = [_shares(word, segments) for word in words]
    delays = []
    for turn in turns:
        last = [piece for piece in segments if _common_ms(turn, piece) > 100]
        if last:
            delays.append(last[-1].decided_ms - turn.end_ms)
    return Segmentation(
        words=len(words),
        lost=sum(sum(share) < 0.5 for share in shares),
        cut=sum(
            sum(share) >= 0.5 and _is_cut(share, word) for share, word in zip(shares, words, strict=True)
        ),
        turns=len(turns),
        segments=len(segments),
        false_segments=sum(all(_common_ms(turn, piece) <= 0 for turn in turns) for piece in segments),
        decision_delays_ms=tuple(delays),
    )


def speaker_score(reference: Sequence[Spoken], recognized: Sequence[Spoken]) -> SpeakerScore | None:
    """Of one call with both parties' words; None without a reference word. Needs meeteval."""
    expected = [spoken for spoken in reference if normal(spoken.text)]
    if not expected:
        return None
    from meeteval import wer
    from meeteval.io import SegLST

    turns = SegLST(_rows(expected)), SegLST(_rows(recognized) or _nothing(expected))
    words = SegLST(_rows(_each_word(expected))), SegLST(_rows(_each_word(recognized)) or _nothing(expected))
    in_time = turns[0], words[1]
    tcp = float(wer.tcpwer(*in_time, collar=TCP_COLLAR_S)["call"].error_rate)
    tc_orc = float(wer.tcorcwer(*in_time, collar=TCP_COLLAR_S)["call"].error_rate)
    return SpeakerScore(
        cp_wer=float(wer.cpwer(*turns)["call"].error_rate),
        orc_wer=float(wer.orcwer(*turns)["call"].error_rate),
        tcp_wer=float(wer.tcpwer(*words, collar=TCP_COLLAR_S)["call"].error_rate),
        misattributed_in_time=tcp - tc_orc,
    )


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The smallest value that at least `percent` of all do not exceed (nearest rank). None without values."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(percent / 100 * len(values)) - 1)]


def _alignment(expected: list[str], got: list[str]) -> list[tuple[bool, int, int, int, int]]:
    """(same, from, to, from, to) in order: half-open spans of `expected` and `got`."""
    if not expected or not got:
        return [(False, 0, len(expected), 0, len(got))] if expected or got else []
    import jiwer

    chunks = jiwer.process_words(" ".join(expected), " ".join(got)).alignments[0]
    return [
        (
            chunk.type == "equal",
            chunk.ref_start_idx,
            chunk.ref_end_idx,
            chunk.hyp_start_idx,
            chunk.hyp_end_idx,
        )
        for chunk in chunks
    ]


def _shares(word: SpokenWord, segments: Sequence[SpeechSpan]) -> list[float]:
    length = max(1, word.end_ms - word.start_ms)
    return [_common_ms(word, piece) / length for piece in segments if _common_ms(word, piece) > 0]


def _is_cut(shares: Sequence[float], word: SpokenWord) -> bool:
    length = max(1, word.end_ms - word.start_ms)
    return sum(shares) < _COVERED or sum(share * length > _TOUCHED_MS for share in shares) > 1


def _common_ms(one: SpokenWord | Spoken, other: SpeechSpan) -> int:
    return min(one.end_ms, other.end_ms) - max(one.start_ms, other.start_ms)


def _rows(spoken: Sequence[Spoken]) -> list[dict[str, object]]:
    return [
        {
            "session_id": "call",
            "speaker": str(each.role),
            "start_time": each.start_ms / 1000,
            "end_time": max(each.end_ms, each.start_ms + 1) / 1000,
            "words": normal(each.text),
        }
        for each in spoken
        if normal(each.text)
    ]


def _each_word(spoken: Sequence[Spoken]) -> list[Spoken]:
    """Each word separately, where its time is known."""
    words = []
    for whole in spoken:
        words += [Spoken(whole.role, word.start_ms, word.end_ms, word.text) for word in whole.words] or [
            whole
        ]
    return words


def _nothing(expected: Sequence[Spoken]) -> list[dict[str, object]]:
    return [{**_rows(expected)[0], "words": ""}]
