"""Whisper models by the faster-whisper package, on this machine's processor (extra `whisper`).

Options, all optional: `model` (a folder with a converted model, or a name such as `base` that is fetched once; default
`base`), `language` (default `en`; empty to detect it in each segment), `hotwords` (domain words, as one text),
`compute_type` (default `int8`), `cpu_threads` (default 1), `device` (default `cpu`).
Settings follow reference/speech.md, section 5.5: each segment on its own, one fallback temperature at most.
"""

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from callreel.domain.errors import EngineError
from callreel.engines.options import known_only, text, whole
from callreel.engines.registry import Options
from callreel.engines.spread import spread
from callreel.speech.engine import Capabilities, HeardWord

if TYPE_CHECKING:  # the extra may be missing
    from faster_whisper import WhisperModel
    from faster_whisper.transcribe import Segment

_OPTIONS = {"model", "language", "hotwords", "compute_type", "cpu_threads", "device"}
_DEFAULT_MODEL = "base"
_SHORTEST_SAMPLES = 1600  # 100 ms
_FINAL_BEAM = 5
_FINAL_TEMPERATURES = (0.0, 0.4)
_NO_SPEECH = 0.6
_UNLIKELY = -1.0


def check(options: Options) -> Capabilities:
    """Raises EngineError if the extra, the folder or the model of that name is not to be had."""
    known_only("faster-whisper", options, _OPTIONS)
    if importlib.util.find_spec("faster_whisper") is None:
        raise EngineError("engine faster-whisper is not installed: pip install 'callreel[whisper]'")
    _folder(options)
    return _capabilities(options)


def load(options: Options) -> "FasterWhisper":
    """The engine in this process: 0.1 to 3 GB by model, seconds."""
    capabilities = check(options)
    from faster_whisper import WhisperModel

    try:
        model = WhisperModel(
            str(_folder(options)),
            device=text(options, "device", "cpu"),
            compute_type=text(options, "compute_type", "int8"),
            cpu_threads=whole(options, "cpu_threads", 1),
            local_files_only=True,
        )
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise EngineError(f"engine faster-whisper: the model could not be loaded: {reason}") from error
    language = text(options, "language", "en")
    if language and language not in model.supported_languages:
        raise EngineError(f"engine faster-whisper: the model does not know the language {language!r}")
    return FasterWhisper(capabilities, model, language=language, hotwords=text(options, "hotwords"))


class FasterWhisper:
    """An `Engine`. Every question costs a whole 30 s window, so partials are dear: reference/speech.md, 4.3."""

    def __init__(
        self, capabilities: Capabilities, model: "WhisperModel", *, language: str, hotwords: str
    ) -> None:
        self._capabilities = capabilities
        self._model = model
        self._language = language or None
        self._hotwords = hotwords or None

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def decode(self, samples: npt.NDArray[np.int16], *, partial: bool) -> list[HeardWord]:
        """Words in 16 kHz mono samples; `partial` searches greedily and never twice."""
        if samples.size < _SHORTEST_SAMPLES:
            return []
        segments, _ = self._model.transcribe(
            samples.astype(np.float32) / 32768,
            language=self._language,
            beam_size=1 if partial else _FINAL_BEAM,
            temperature=_FINAL_TEMPERATURES[:1] if partial else _FINAL_TEMPERATURES,
            condition_on_previous_text=False,
            word_timestamps=True,
            hotwords=self._hotwords,
        )
        return list(_words(segments))


def _words(segments: Iterable["Segment"]) -> Iterable[HeardWord]:
    for segment in segments:
        if segment.no_speech_prob > _NO_SPEECH and segment.avg_logprob < _UNLIKELY:
            continue
        if not segment.words:
            yield from spread(segment.text, round(segment.start * 1000), round(segment.end * 1000))
            continue
        for word in segment.words:
            if word.word.strip():
                start_ms, end_ms = round(word.start * 1000), round(word.end * 1000)
                yield HeardWord(word.word.strip(), start_ms, end_ms, float(word.probability))


def _capabilities(options: Options) -> Capabilities:
    return Capabilities(
        name="faster-whisper",
        model=Path(text(options, "model", _DEFAULT_MODEL)).name,
        partials=True,
        word_times=True,
        confidence=True,
        runs_here=True,
    )


def _folder(options: Options) -> Path:
    """Where the model is; one that is given by name is fetched first. A folder is looked for before a name is."""
    model = text(options, "model", _DEFAULT_MODEL)
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "model.bin").is_file():
            raise EngineError(
                f"engine faster-whisper: expected a model.bin in the folder {model}, found none"
            )
        return folder
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise EngineError(f"engine faster-whisper: expected a folder with a model, but there is no {model}")
    return _fetched(model)


def _fetched(name: str) -> Path:
    from faster_whisper.utils import download_model

    try:
        return Path(download_model(name))
    except (OSError, ValueError) as error:
        raise EngineError(
            f"engine faster-whisper: {name!r} is no folder here, and no model of that name could be fetched "
            f"({type(error).__name__}); give a folder with a converted model, or go online once"
        ) from error
