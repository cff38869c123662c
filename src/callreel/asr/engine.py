"""The contract of speech engines: what an engine module offers, and what the server sees of a running one.

An engine lives in a worker process and keeps nothing between segments, so a segment can be decoded again by a fresh
process after a crash: the caller keeps the audio until it has the final.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from callreel.asr.languages import LanguageError, named, normalized
from callreel.audio.samples import Samples


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do, so that the live policy needs no engine's name.

    `partials`: whether decoding open segments is affordable (a paid API: no).
    `runs_here`: False when audio leaves this machine.
    """

    name: str
    model: str
    partials: bool
    word_times: bool
    confidence: bool
    runs_here: bool
    settle_ms: int = 0
    """A word of an open segment is stable when two decodes agree on it and it ended this long ago."""
    languages: tuple[str, ...] = ("en",)
    """Codes as `en`, of what it expects. Empty: many, and the engine detects which is spoken."""
    on_request: tuple[str, ...] = ()
    """Languages that `decode` accepts for a single call."""
    batch: int = 1
    """How many whole segments it decodes together for less than one by one. 1: it has no `decode_many`."""
    hints: bool = False
    """Whether it takes custom vocabulary: names, products."""
    cost_per_minute: float = 0.0
    """What a minute of audio costs, in the currency of the prices. 0 where it costs the processor only."""

    def supports(self, language: str) -> bool:
        """Whether a call in that language can be transcribed; an empty code leaves the language to the engine."""
        return not language or self._tag_of(language) is not None

    def language_option(self, language: str) -> str:
        """The `language` to pass to `decode`, as the engine spells it; empty where the engine expects it anyway.

        Raises LanguageError.
        """
        tag = self._tag_of(language) if language else ""
        if tag is None:
            known = ", ".join(dict.fromkeys([*self.languages, *self.on_request]))
            raise LanguageError(
                f"engine {self.name} {self.model} does not transcribe {named(language)} ({language}), only {known}",
                "choose a multilingual model, for example CALLREEL_ENGINE_MODEL=small",
            )
        return "" if self.languages == (tag,) else tag

    def _tag_of(self, language: str) -> str | None:
        """The engine's tag for a language, equal or of the same code: an engine may name `en-US` what a call names `en`."""
        tags = (*self.languages, *self.on_request)
        if language in tags:
            return language
        code = normalized(language) or language
        return next((tag for tag in tags if normalized(tag) == code), None)


@dataclass(frozen=True, slots=True)
class RecognizedWord:
    """A word relative to the start of the audio that was decoded."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None


class Transcription(list[RecognizedWord]):
    """The words of one segment. `language` is the detected one, empty where it was given or the engine does not say.

    `fallback_engine` names the engine that decoded the segment because the chosen one failed.
    """

    def __init__(
        self, words: Iterable[RecognizedWord] = (), *, language: str = "", fallback_engine: str = ""
    ) -> None:
        super().__init__(words)
        self.language = language
        self.fallback_engine = fallback_engine


class Engine(Protocol):
    """Made once in each worker process by its module's `load(options)`, which may take seconds."""

    @property
    def capabilities(self) -> Capabilities: ...

    def decode(self, samples: Samples, *, partial: bool) -> Sequence[RecognizedWord]:
        """Words in 16 kHz mono `samples` of any length. Blocking, CPU-bound; raises EngineError.

        `partial` allows cheaper settings: the segment is still open and will be decoded again, or the engine is overloaded.
        An engine with languages `on_request` also takes the keyword `language`. One that detects the language answers
        with a `Transcription`.
        """
        ...


class BatchEngine(Engine, Protocol):
    """An engine whose `capabilities.batch` is above 1."""

    def decode_many(
        self, segments: Sequence[Samples], *, language: str = ""
    ) -> Sequence[Sequence[RecognizedWord]]:
        """As `decode` for each of some whole segments, `batch` at most: one result each, in their order."""
        ...


class WorkerEngine(Protocol):
    """A running engine as the server sees it: in worker processes, for one event loop."""

    @property
    def capabilities(self) -> Capabilities:
        """Of the engine that decodes now; known once it has started."""
        ...

    @property
    def workers(self) -> int: ...

    @property
    def idle(self) -> int:
        """How many worker processes are free now."""
        ...

    @property
    def restarts(self) -> int: ...

    @property
    def pids(self) -> list[int]: ...

    async def start(self) -> None:
        """Load the engine. Raises EngineError with the engine's reason."""
        ...

    async def decode(
        self, segments: Sequence[Samples], *, partial: bool = False, language: str = ""
    ) -> list[Transcription]:
        """One result for each 16 kHz segment, in their order, waiting for a free process if need be.

        Raises EngineError if the engine cannot decode them, LanguageError if it does not support `language`.
        Cancelling is safe: the process finishes and its answer is dropped.
        """
        ...

    async def close(self) -> None:
        """End all processes and wait until they are gone. Unfinished jobs end with EngineError."""
        ...
