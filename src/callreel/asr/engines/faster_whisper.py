"""Whisper models by the faster-whisper package, on this machine's processor or graphics card.

Options, all optional: `model` (a folder with a converted model, or a name such as `small` that is fetched once; default
`tiny.en`, whose weights are installed with Callreel), `language` (default `en`; empty to detect it in each segment), `hints` (domain words with commas between them),
`device` (`auto`, `cpu` or `cuda`; default `auto`: CUDA where there is a card), `compute_type` (default `int8` on a
processor, `float16` on a card), `cpu_threads` (default 1), `batch` (whole segments that are decoded together after a call,
default 1; more pays on a card only: on a processor four together cost a fifth more).
How it decodes: `asr/engines/whisper_decoding.py`.
"""

import difflib
import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from callreel.asr.engine import Capabilities, Transcription
from callreel.asr.engines import hub, packaged_model
from callreel.asr.engines.options import language as language_of
from callreel.asr.engines.options import one_of, phrases, reject_unknown, text, whole
from callreel.asr.engines.registry import Options
from callreel.asr.engines.whisper_decoding import (
    DecodeSettings,
    WhisperDecoder,
)
from callreel.asr.languages import NAMES, named
from callreel.audio.samples import ASR_HZ, ASR_SAMPLES_PER_MS, Samples
from callreel.domain.errors import EngineError

if TYPE_CHECKING:  # the extra may be missing
    from faster_whisper import WhisperModel

_OPTIONS = {"model", "language", "hints", "compute_type", "cpu_threads", "device", "batch"}
_DEFAULT_MODEL = packaged_model.NAME
_ENGLISH_ONLY = ".en"
_FILES = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*")
_SHORTEST_SAMPLES = 1600  # 100 ms
_FINAL_BEAM = 5
_LONGEST_SAMPLES = 29 * ASR_HZ
_SETTLE_MS = 800

MODELS = {
    "tiny": 78, "tiny.en": 78, "base": 148, "base.en": 148, "small": 486, "small.en": 486, "medium": 1530,
    "medium.en": 1530, "large-v3": 3090, "large-v3-turbo": 1620, "distil-large-v3": 1510,
}  # fmt: skip
"""Names to fetch by, with their megabytes as published. The package has a few more."""


def check(options: Options) -> Capabilities:
    """Raises NotFetchedError if the model is only not here yet, else EngineError with what is missing."""
    reject_unknown("faster-whisper", options, _OPTIONS)
    one_of(options, "device", ("auto", "cpu", "cuda"))
    if importlib.util.find_spec("faster_whisper") is None:
        raise EngineError("engine faster-whisper is not installed: pip install faster-whisper")
    _folder(options)
    offered = capabilities(options)
    language = language_of(options, "en")
    if offered.model.endswith(_ENGLISH_ONLY) and language != "en":
        wanted = f"{named(language)} ({language})" if language else "language detection"
        raise EngineError(
            f"engine faster-whisper: {offered.model} transcribes English only; {wanted} needs a multilingual model, "
            "for example CALLREEL_ENGINE_MODEL=small"
        )
    return offered


def capabilities(options: Options) -> Capabilities:
    """What it can do with its model, whether that is here or not."""
    model = Path(text(options, "model", _DEFAULT_MODEL)).name
    language = language_of(options, "en")
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
        batch=whole(options, "batch", 1),
        settle_ms=_SETTLE_MS,
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
    language = language_of(options, "en")
    if language and language not in model.supported_languages:
        raise EngineError(f"engine faster-whisper: the model does not support the language {language!r}")
    known = [code for code in model.supported_languages if code in NAMES]
    capabilities = replace(capabilities, on_request=tuple(known) if len(known) > 1 else ())
    hints = ", ".join(phrases(options, "hints"))
    return FasterWhisper(capabilities, model, language=language, hints=hints)


class FasterWhisper:
    """A `BatchEngine`."""

    def __init__(
        self, capabilities: Capabilities, model: "WhisperModel", *, language: str, hints: str
    ) -> None:
        self._capabilities = capabilities
        self._decoder = WhisperDecoder(model)
        self._language = language
        self._hints = hints

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def decode(self, samples: Samples, *, partial: bool, language: str = "") -> Transcription:
        """Words in 16 kHz mono samples; `partial` searches greedily and once."""
        settings = DecodeSettings(
            beam=1 if partial else _FINAL_BEAM,
            language=language or self._language,
            prompt=self._hints,
            retry=not partial,
        )
        return self._decode([samples], settings)[0]

    def decode_many(self, segments: Sequence[Samples], *, language: str = "") -> list[Transcription]:
        """The same for whole segments together. A language that is to be detected is detected for all of them."""
        settings = DecodeSettings(_FINAL_BEAM, language or self._language, self._hints)
        return self._decode(segments, settings)

    def _decode(self, segments: Sequence[Samples], settings: DecodeSettings) -> list[Transcription]:
        """A segment too long for the model's window is decoded in pieces."""
        pieces = [
            (number, at, samples[at : at + _LONGEST_SAMPLES])
            for number, samples in enumerate(segments)
            for at in range(0, samples.size, _LONGEST_SAMPLES)
            if samples.size - at >= _SHORTEST_SAMPLES
        ]
        results = [Transcription() for _ in segments]
        if not pieces:
            return results
        decoded, found = self._decoder.decode([samples for _, _, samples in pieces], settings)
        detected = found if not settings.language and self._capabilities.on_request else ""
        for (number, at, _), words in zip(pieces, decoded, strict=True):
            offset_ms = at // ASR_SAMPLES_PER_MS
            results[number] += [
                replace(word, start_ms=word.start_ms + offset_ms, end_ms=word.end_ms + offset_ms)
                for word in words
            ]
            results[number].language = detected
        return results


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
