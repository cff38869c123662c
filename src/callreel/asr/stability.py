"""Which words of an open segment are shown as stable, and what a final may do to them.

It compares hypotheses; engines and clocks are the caller's. A word is stable when two successive hypotheses agree on all words
up to it (LocalAgreement-2: Macháček et al., arXiv 2307.14743) and it ended `settle_ms` before the audio did. Stable words are
never taken back: not by a later hypothesis, not by the final, whose words then stand after the stable ones. The others are
shown as tentative.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from callreel.asr.engine import Capabilities
from callreel.domain.transcript import Word

_EDGES = ".,;:!?…\"'()[]«»„“”‚‘’-–—"


@dataclass(frozen=True, slots=True)
class Showing:
    """An open segment as it is to be shown: `stable` words, which will stay, and `tentative` ones after them."""

    stable: tuple[Word, ...] = ()
    tentative: tuple[Word, ...] = ()

    @property
    def words(self) -> tuple[Word, ...]:
        return self.stable + self.tentative


class Stability:
    """One for each open segment. Memory: its words, twice."""

    def __init__(self, settle_ms: int = 0) -> None:
        self._settle_ms = settle_ms
        self._stable: tuple[Word, ...] = ()
        self._before: tuple[Word, ...] = ()

    @classmethod
    def for_engine(cls, capabilities: Capabilities) -> "Stability":
        return cls(capabilities.settle_ms)

    def update(self, words: Sequence[Word], until_ms: int) -> Showing:
        """A hypothesis over the segment's audio up to `until_ms`; positions are the call's."""
        shown = continued(self._stable, words)
        agreed = _in_common(shown, continued(self._stable, self._before))
        old = sum(word.end_ms <= until_ms - self._settle_ms for word in shown[:agreed])
        self._stable = shown[: max(len(self._stable), old)]
        self._before = tuple(words)
        return Showing(self._stable, shown[len(self._stable) :])

    @property
    def stable(self) -> tuple[Word, ...]:
        """What has been shown as stable."""
        return self._stable

    def contradicted(self, words: Sequence[Word]) -> int:
        """How many of the stable words the engine's last answer, `words`, does not have where they were said.

        The stable words are aligned with those in whose place they stay; a word more or less makes no other one wrong.
        """
        if _in_common(self._stable, words) == len(self._stable):
            return 0
        end_ms = self._stable[-1].end_ms
        instead = [_folded(word.text) for word in words if (word.start_ms + word.end_ms) // 2 < end_ms]
        matcher = SequenceMatcher(
            None, [_folded(word.text) for word in self._stable], instead, autojunk=False
        )
        return len(self._stable) - sum(block.size for block in matcher.get_matching_blocks())

    def final(self, words: Sequence[Word]) -> tuple[Word, ...]:
        """The segment's words: those of the engine's last answer, but for what was shown as stable."""
        return continued(self._stable, words)


def continued(stable: tuple[Word, ...], words: Sequence[Word]) -> tuple[Word, ...]:
    """`words`, if they begin with the stable ones; else the stable ones and, of `words`, those spoken after them.

    Capitals and punctuation make no other word; those of `words` are taken, being the newer.
    """
    agreed = _in_common(stable, words)
    if agreed == len(stable):
        return tuple(words)
    end_ms = stable[-1].end_ms
    return stable + tuple(word for word in words if (word.start_ms + word.end_ms) // 2 >= end_ms)


def _in_common(one: Sequence[Word], other: Sequence[Word]) -> int:
    """How many words both begin with."""
    pairs = zip(one, other, strict=False)
    return next(
        (at for at, (a, b) in enumerate(pairs) if not same_word(a.text, b.text)), min(len(one), len(other))
    )


def same_word(one: str, other: str) -> bool:
    """Whether two texts differ in capitals and punctuation only."""
    return one == other or _folded(one) == _folded(other)


def _folded(text: str) -> str:
    return text.casefold().strip(_EDGES) or text
