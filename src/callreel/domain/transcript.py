"""Text with times. All positions are integer milliseconds from the start of the call."""

from dataclasses import dataclass
from enum import StrEnum

from callreel.domain.call import Role
from callreel.domain.words import join_words, split_words, spread


class TranscriptKind(StrEnum):
    """`LIVE` was made during the call, `FINAL` from the stored recording after it."""

    LIVE = "live"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class Word:
    """`confidence` is 0 to 1, or None if the engine reports none."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech of one party, the unit that an engine decodes. `number` counts from 0 within the role."""

    role: Role
    number: int
    start_ms: int
    end_ms: int

    @property
    def key(self) -> tuple[Role, int]:
        """What identifies it within its call."""
        return self.role, self.number


@dataclass(frozen=True, slots=True)
class Final:
    """The final result of a closed segment: exactly one per segment, which never changes.

    `failed` says that no engine could decode the segment; its text is then empty and the audio is in the layers.
    `fallback_engine` is the engine that decoded it instead of the configured one; empty if that one did.
    """

    segment: Segment
    words: tuple[Word, ...]
    failed: bool = False
    fallback_engine: str = ""

    @property
    def text(self) -> str:
        return join_words(word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class Turn:
    """Consecutive words of one party, as displayed. `confidence` is the mean over its words, None without any;
    `fallback_engine` as in `Final`."""

    role: Role
    start_ms: int
    end_ms: int
    text: str
    confidence: float | None
    words: tuple[Word, ...] = ()
    fallback_engine: str = ""


def words_of(turn: Turn) -> tuple[Word, ...]:
    """The words of a turn's text: the engine's if they match the text, else spread evenly over the turn."""
    if "".join("".join(word.text.split()) for word in turn.words) == "".join(turn.text.split()):
        return turn.words
    return spread_words(turn.text, turn.start_ms, turn.end_ms)


def spread_words(text: str, start_ms: int, end_ms: int) -> tuple[Word, ...]:
    """The words of `text` from `start_ms` to `end_ms`, without confidence."""
    return tuple(Word(*placed) for placed in spread(split_words(text), start_ms, end_ms))
