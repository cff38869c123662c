"""What every speech engine promises, whatever it is made of.

An engine lives in a worker process of `engines/host` and keeps nothing between segments. It is given whole segments,
and if it streams also the audio of open ones as it comes. Either way a segment can be given again to a fresh process
after a crash: whoever asks keeps the audio until the final is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from callreel.asr.languages import LanguageError, named


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do, so that the live policy need not know engines by name.

    `partials`: whether asking it about an open segment is affordable (a paid API: no).
    `runs_here`: False when audio leaves this machine.
    """

    name: str
    model: str
    partials: bool
    word_times: bool
    confidence: bool
    runs_here: bool
    rough: bool = False
    """Whether people must be told that the text is of draft quality."""
    streams: int = 0
    """How many open segments one process follows as they grow. 0: it does not stream, an open segment is decoded anew."""
    settle_ms: int = 600
    """How long ago a word ended that it will hardly change any more, in a segment that it follows."""
    guess_ms: int = 0
    """Words that ended less long ago are guesses, in a segment that it follows: they change too often to be shown."""
    languages: tuple[str, ...] = ("en",)
    """Codes as `en`, of what it expects. Empty: many, and the engine finds out which is spoken."""
    on_request: tuple[str, ...] = ()
    """Languages that it can be asked to hear a single call in, by the `language` of `decode`."""
    batch: int = 1
    """How many whole segments it decodes at once for less than one after the other. 1: it has no `decode_many`."""
    hints: bool = False
    """Whether it takes words to expect: names, products."""
    cost_per_minute: float = 0.0
    """What a minute of audio costs, in the currency of the prices. 0 where it costs the processor only."""

    def hears(self, language: str) -> bool:
        """Whether a call in that language can be heard; empty stands for no wish."""
        return not language or language in self.languages or language in self.on_request

    def asked_for(self, language: str) -> str:
        """What to ask for so that it hears `language`; empty if it does anyway. Raises LanguageError."""
        if not self.hears(language):
            known = ", ".join(dict.fromkeys([*self.languages, *self.on_request]))
            raise LanguageError(
                f"engine {self.name} {self.model} does not transcribe {named(language)} ({language}), only {known}; "
                "choose a multilingual model, for example CALLREEL_ENGINE_MODEL=small"
            )
        return "" if self.languages == (language,) else language


@dataclass(frozen=True, slots=True)
class RecognizedWord:
    """A word relative to the start of the audio that was decoded."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None


class Engine(Protocol):
    """Made once in each worker process by its module's `load(options)`, which may take seconds."""

    @property
    def capabilities(self) -> Capabilities: ...

    def decode(self, samples: npt.NDArray[np.int16], *, partial: bool) -> Sequence[RecognizedWord]:
        """Words in 16 kHz mono `samples` (int16, shape [n], n >= 0). Blocking, CPU-bound; raises EngineError.

        `partial` allows cheaper settings: the segment is still open and will be asked about again, or there is no time.
        An engine with languages `on_request` is given the keyword `language` too where one was asked for. One that
        finds out which language is spoken says so in its answer (`Heard`).
        """
        ...


class BatchEngine(Engine, Protocol):
    """An engine whose `capabilities.batch` is above 1."""

    def decode_many(
        self, segments: Sequence[npt.NDArray[np.int16]], *, language: str = ""
    ) -> Sequence[Sequence[RecognizedWord]]:
        """As `decode` for each of some whole segments, `batch` at most: one answer for each, in their order."""
        ...


class SegmentStream(Protocol):
    """One open segment in a streaming engine, from its first sample to its last. Blocking; raises EngineError.

    The worker holds `Capabilities.streams` of them at most, interleaves them as audio comes, and may ask the engine to
    `decode` whole segments in between.
    """

    def feed(self, samples: npt.NDArray[np.int16]) -> Sequence[RecognizedWord]:
        """What is heard so far, after the next 16 kHz samples (int16, shape [n], n >= 0). Any word may still change."""
        ...

    def finish(self, samples: npt.NDArray[np.int16]) -> Sequence[RecognizedWord]:
        """The words of the whole segment, whose last samples these are, without decoding all of it again.

        The stream is over and its room free.
        """
        ...

    def drop(self) -> None:
        """Nobody wants the words any more; the stream is over and its room free."""
        ...


class StreamingEngine(Engine, Protocol):
    """An engine whose `capabilities.streams` is above 0."""

    def stream(self) -> SegmentStream:
        """Begin to follow a segment."""
        ...


class Heard(list[RecognizedWord]):
    """Words, which engine heard them where it is not the one that was asked for, and the language that it found out."""

    def __init__(self, words: Sequence[RecognizedWord], *, by: str = "", language: str = "") -> None:
        super().__init__(words)
        self.by = by
        self.language = language


def fallback_engine(words: Sequence[RecognizedWord]) -> str:
    """The engine that stood in; empty for words of the one that was asked for."""
    return words.by if isinstance(words, Heard) else ""


def language_of(words: Sequence[RecognizedWord]) -> str:
    """The language that the engine found out; empty where it was told, or does not say."""
    return words.language if isinstance(words, Heard) else ""
