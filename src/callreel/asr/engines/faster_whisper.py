"""Whisper models by the faster-whisper package, on this machine's processor or graphics card.

Options, all optional: `model` (a folder with a converted model, or a name such as `small` that is fetched once; default
`tiny.en`, whose weights are installed with Callreel), `language` (default `en`; empty to detect it in each segment), `hints` (domain words with commas between them),
`device` (`auto`, `cpu` or `cuda`; default `auto`: CUDA where there is a card), `compute_type` (default `int8` on a
processor, `float16` on a card), `cpu_threads` (default 1), `batch` (whole segments that are decoded at once after a call,
default 4, each with memory of its own; 1 for one after the other).
Settings follow reference/speech.md, section 5.5: each segment on its own, one fallback temperature at most.
"""

import difflib
import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from callreel.asr.engine import Capabilities, Heard, RecognizedWord
from callreel.asr.engines import hub, packaged_model
from callreel.asr.engines.options import known_only, one_of, phrases, text, whole
from callreel.asr.engines.registry import Options
from callreel.asr.engines.spread import spread
from callreel.asr.languages import NAMES, named
from callreel.audio.samples import ASR_HZ
from callreel.domain.errors import EngineError

if TYPE_CHECKING:  # the extra may be missing
    from faster_whisper import WhisperModel
    from faster_whisper.transcribe import Segment, TranscriptionInfo

_OPTIONS = {"model", "language", "hints", "compute_type", "cpu_threads", "device", "batch"}
_DEFAULT_MODEL = packaged_model.NAME
_ENGLISH_ONLY = ".en"
_FILES = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*")
_SHORTEST_SAMPLES = 1600  # 100 ms
_FINAL_BEAM = 5
_FINAL_TEMPERATURES = (0.0, 0.4)
_NO_SPEECH = 0.6
_UNLIKELY = -1.0
_REPETITIVE = 2.4  # above it, the package takes a text for a loop
_BATCH = 4

MODELS = {
    "tiny": 78, "tiny.en": 78, "base": 148, "base.en": 148, "small": 486, "small.en": 486, "medium": 1530,
    "medium.en": 1530, "large-v3": 3090, "large-v3-turbo": 1620, "distil-large-v3": 1510,
}  # fmt: skip
"""Names to fetch by, with their megabytes as published. The package knows a few more."""


def check(options: Options) -> Capabilities:
    """Raises NotFetchedError if the model is only not here yet, else EngineError with what is missing."""
    known_only("faster-whisper", options, _OPTIONS)
    one_of(options, "device", ("auto", "cpu", "cuda"))
    if importlib.util.find_spec("faster_whisper") is None:
        raise EngineError("engine faster-whisper is not installed: pip install faster-whisper")
    _folder(options)
    able = capabilities(options)
    language = text(options, "language", "en")
    if able.model.endswith(_ENGLISH_ONLY) and language != "en":
        wanted = f"{named(language)} ({language})" if language else "language detection"
        raise EngineError(
            f"engine faster-whisper: {able.model} transcribes English only; {wanted} needs a multilingual model, "
            "for example CALLREEL_ENGINE_MODEL=small"
        )
    return able


def capabilities(options: Options) -> Capabilities:
    """What it can do with its model, whether that is here or not."""
    model = Path(text(options, "model", _DEFAULT_MODEL)).name
    language = text(options, "language", "en")
    return Capabilities(
        name="faster-whisper",
        model=model,
        partials=True,
        word_times=True,
        confidence=True,
        runs_here=True,
        languages=("en",) if model.endswith(_ENGLISH_ONLY) else (language,) if language else (),
        on_request=() if model.endswith(_ENGLISH_ONLY) else tuple(NAMES),
        hints=True,
        batch=whole(options, "batch", _BATCH),
    )


def knows(model: str) -> bool:
    """Whether a model of that name, or in that folder, is one of its kind."""
    return _MODELS.knows(model)


def fetch(options: Options, progress: hub.Progress | None = None) -> Path:
    """Have the model here; answers its folder. Raises EngineError."""
    return _MODELS.fetch(text(options, "model", _DEFAULT_MODEL), progress)


def load(options: Options) -> "FasterWhisper":
    """The engine in this process: 0.1 to 3 GB by model, seconds."""
    capabilities = check(options)
    from faster_whisper import WhisperModel

    device = _device(options)
    folder = _folder(options)
    if folder == packaged_model.folder():
        packaged_model.verify(folder)
    try:
        model = WhisperModel(
            str(folder),
            device=device,
            compute_type=text(options, "compute_type", "int8" if device == "cpu" else "float16"),
            cpu_threads=whole(options, "cpu_threads", 1),
            local_files_only=True,
        )
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise EngineError(f"engine faster-whisper: the model could not be loaded: {reason}") from error
    language = text(options, "language", "en")
    if language and language not in model.supported_languages:
        raise EngineError(f"engine faster-whisper: the model does not know the language {language!r}")
    known = [code for code in model.supported_languages if code in NAMES]
    capabilities = replace(capabilities, on_request=tuple(known) if len(known) > 1 else ())
    hints = ", ".join(phrases(options, "hints"))
    return FasterWhisper(capabilities, model, language=language, hints=hints)


class FasterWhisper:
    """A `BatchEngine`. Every question costs a whole 30 s window, so partials are dear: reference/speech.md, 4.3."""

    def __init__(
        self, capabilities: Capabilities, model: "WhisperModel", *, language: str, hints: str
    ) -> None:
        self._capabilities = capabilities
        self._model = model
        self._language = language or None
        self._hints = hints or None

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def decode(self, samples: npt.NDArray[np.int16], *, partial: bool, language: str = "") -> Heard:
        """Words in 16 kHz mono samples; `partial` searches greedily and never twice."""
        if samples.size < _SHORTEST_SAMPLES:
            return Heard([])
        segments, info = self._model.transcribe(
            samples.astype(np.float32) / 32768,
            language=language or self._language,
            beam_size=1 if partial else _FINAL_BEAM,
            temperature=_FINAL_TEMPERATURES[:1] if partial else _FINAL_TEMPERATURES,
            condition_on_previous_text=False,
            word_timestamps=True,
            hotwords=self._hints,
        )
        return Heard(list(_words(segments)), language=self._found_out(info, language))

    def decode_many(
        self, segments: Sequence[npt.NDArray[np.int16]], *, language: str = ""
    ) -> list[list[RecognizedWord]]:
        """The same for whole segments at once, by the package's batches, of 30 s each at most.

        A batch searches once. A segment whose text is unlikely or repeats itself is decoded again by itself, which has
        a second temperature to try. A language that is to be found out is found for all of them together.
        """
        from faster_whisper import BatchedInferencePipeline

        heard: list[list[RecognizedWord]] = [Heard([]) for _ in segments]
        spans = _spans(segments)
        if not spans:
            return heard
        found, info = BatchedInferencePipeline(self._model).transcribe(
            np.concatenate([segments[number] for number, _, _ in spans]).astype(np.float32) / 32768,
            language=language or self._language,
            beam_size=_FINAL_BEAM,
            temperature=_FINAL_TEMPERATURES[0],
            word_timestamps=True,
            without_timestamps=False,
            hotwords=self._hints,
            vad_filter=False,
            clip_timestamps=[{"start": start / ASR_HZ, "end": end / ASR_HZ} for _, start, end in spans],
            batch_size=len(spans),
            language_detection_segments=len(spans),
        )
        by_place: dict[int, list[Segment]] = {
            int(start / ASR_HZ * self._model.frames_per_second): [] for _, start, _ in spans
        }
        for segment in found:
            by_place[segment.seek].append(segment)
        known = self._found_out(info, language)
        for (number, start, _), pieces in zip(spans, by_place.values(), strict=True):
            if any(_is_doubtful(piece) for piece in pieces):
                words: list[RecognizedWord] = self.decode(
                    segments[number], partial=False, language=language or known
                )
            else:
                words = list(_words(pieces, start / ASR_HZ))
            heard[number] = Heard(words, language=known)
        return heard

    def _found_out(self, info: "TranscriptionInfo", language: str) -> str:
        """The language, where nobody said which it is."""
        told = language or self._language or not self._capabilities.on_request
        return "" if told else info.language


def _spans(segments: Sequence[npt.NDArray[np.int16]]) -> list[tuple[int, int, int]]:
    """Number, first sample and end of each that is long enough for a word, when those are put after one another."""
    spans, at = [], 0
    for number, samples in enumerate(segments):
        if samples.size >= _SHORTEST_SAMPLES:
            spans.append((number, at, at + samples.size))
            at += samples.size
    return spans


def _is_doubtful(segment: "Segment") -> bool:
    """Whether the package itself would try once more, with another temperature."""
    unlikely = segment.avg_logprob < _UNLIKELY and segment.no_speech_prob <= _NO_SPEECH
    return bool(unlikely or segment.compression_ratio > _REPETITIVE)


def _words(segments: Iterable["Segment"], origin_s: float = 0.0) -> Iterable[RecognizedWord]:
    """Times count from `origin_s` of what was decoded."""
    for segment in segments:
        if segment.no_speech_prob > _NO_SPEECH and segment.avg_logprob < _UNLIKELY:
            continue
        if not segment.words:
            start_ms, end_ms = (round((at_s - origin_s) * 1000) for at_s in (segment.start, segment.end))
            yield from spread(segment.text, start_ms, end_ms)
            continue
        for word in segment.words:
            if word.word.strip():
                start_ms, end_ms = (round((at_s - origin_s) * 1000) for at_s in (word.start, word.end))
                yield RecognizedWord(word.word.strip(), start_ms, end_ms, float(word.probability))


def _device(options: Options) -> str:
    device = text(options, "device", "auto")
    if device != "auto":
        return device
    import ctranslate2

    return "cuda" if ctranslate2.get_cuda_device_count() else "cpu"


def _folder(options: Options) -> Path:
    model = text(options, "model", _DEFAULT_MODEL)
    packaged = packaged_model.folder() if model == packaged_model.NAME else None
    return packaged or _MODELS.folder(model)


def _repository(model: str) -> str:
    """Where a name leads: the package's own, or `owner/name` of any converted model."""
    from faster_whisper.utils import _MODELS as KNOWN

    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        near_it = _near(Path(model).expanduser())
        raise EngineError(
            f"engine faster-whisper: expected a folder with a model, but there is no {model}{near_it}"
        )
    if "/" in model:
        return model
    if model not in KNOWN:
        near = difflib.get_close_matches(model, KNOWN, n=1)
        raise EngineError(
            f"engine faster-whisper: there is no folder and no model of that name, {model!r}"
            + (f"; did you mean {near[0]}?" if near else f"; models are {', '.join(MODELS)}")
        )
    return str(KNOWN[model])


def _near(folder: Path) -> str:
    """A folder beside it that may have been meant."""
    beside = (
        [entry.name for entry in folder.parent.iterdir() if entry.is_dir()] if folder.parent.is_dir() else []
    )
    near = difflib.get_close_matches(folder.name, beside, n=1)
    return f"; did you mean {folder.parent / near[0]}?" if near else ""


_MODELS = hub.Models("faster-whisper", "model.bin", _FILES, MODELS, _repository)
