"""Streaming models by the sherpa-onnx package: they hear audio as it comes and have words for it at once (extra
`streaming`). No open segment is decoded again.

Options, all optional: `model` (a folder, or a name such as `zipformer-en` that is fetched once; default `zipformer-en`),
`hints` (words to expect, with commas between them; transducers with a `bpe.model` only), `threads` (default 1).
A folder holds `tokens.txt` and either one ONNX file, a CTC model, or three whose names hold encoder, decoder and joiner,
a transducer. Of several variants the 8-bit one is taken. Runs on the processor.
"""

import difflib
import importlib.util
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from callreel.asr.engine import Capabilities, RecognizedWord
from callreel.asr.engines import hub
from callreel.asr.engines.options import known_only, phrases, text, whole
from callreel.asr.engines.registry import Options
from callreel.asr.engines.sentence_pieces import vocabulary
from callreel.audio.samples import ASR_HZ
from callreel.domain.errors import EngineError

_OPTIONS = {"model", "hints", "threads"}
_DEFAULT_MODEL = "zipformer-en"
_STREAMS = 16
_TAIL: npt.NDArray[np.float32] = np.zeros(ASR_HZ * 2 // 3, np.float32)
"""Silence after the last sample, so that a model that looks ahead gives its last words."""

_LAST_WORD_MS = 200
"""How long a word is taken to last whose end nothing tells."""

_SHORTEST_SAMPLES = 1600  # 100 ms
_PARTS = ("encoder", "decoder", "joiner")

MODELS = {"zipformer-en": 73, "zipformer-en-20M": 44}
"""Names to fetch by, with their megabytes as published."""

_REPOSITORIES = {
    "zipformer-en": "csukuangfj/sherpa-onnx-streaming-zipformer-en-2023-06-26",
    "zipformer-en-20M": "csukuangfj/sherpa-onnx-streaming-zipformer-en-20M-2023-02-17",
}
_FILES = ("*.int8.onnx", "tokens.txt", "bpe.model")


def check(options: Options) -> Capabilities:
    """Raises NotFetchedError if the model is only not here yet, else EngineError with what is missing."""
    known_only("sherpa-onnx", options, _OPTIONS)
    if importlib.util.find_spec("sherpa_onnx") is None:
        raise EngineError("engine sherpa-onnx is not installed: pip install 'callreel[streaming]'")
    folder = _folder(options)
    return replace(
        capabilities(options), hints=(folder / "bpe.model").is_file(), confidence="joiner" in _files(folder)
    )


def capabilities(options: Options) -> Capabilities:
    """What it can do as far as is known without looking at its model."""
    return Capabilities(
        name="sherpa-onnx",
        model=Path(text(options, "model", _DEFAULT_MODEL)).name,
        partials=True,
        word_times=True,
        confidence=True,
        runs_here=True,
        streams=_STREAMS,
        hints=True,
    )


def knows(model: str) -> bool:
    """Whether a model of that name or in that folder is one of its kind."""
    return _MODELS.knows(model)


def fetch(options: Options, progress: hub.Progress | None = None) -> Path:
    """Have the model here; answers its folder. Raises EngineError."""
    return _MODELS.fetch(text(options, "model", _DEFAULT_MODEL), progress)


def load(options: Options) -> "Sherpa":
    """The engine in this process: 0.1 to 0.5 GB by model."""
    able = check(options)
    folder = _folder(options)
    hints = phrases(options, "hints")
    try:
        return Sherpa(able, folder, hints if able.hints else [], whole(options, "threads", 1))
    except Exception as error:  # two libraries with errors of their own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EngineError(f"engine sherpa-onnx: the model could not be loaded: {reason}") from error


class Sherpa:
    """A `StreamingEngine`. One recogniser for all streams; each stream holds its model's state, some hundred kB."""

    def __init__(self, able: Capabilities, folder: Path, hints: list[str], threads: int) -> None:
        self._capabilities = able
        tokens = (folder / "tokens.txt").read_text(encoding="utf-8").split()
        self._capitals = not any(token.islower() for token in tokens if not token.startswith("<"))
        self._hints = "/".join(hint.upper() if self._capitals else hint.lower() for hint in hints)
        self._recognizer = _recognizer(folder, threads, with_hints=bool(hints))

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def decode(self, samples: npt.NDArray[np.int16], *, partial: bool) -> list[RecognizedWord]:
        """Words in 16 kHz mono samples, by a stream of their own."""
        if samples.size < _SHORTEST_SAMPLES:
            return []
        stream = self.stream()
        return stream.feed(samples) if partial else stream.finish(samples)

    def stream(self) -> "SherpaStream":
        made = self._recognizer.create_stream(self._hints or None)
        return SherpaStream(self._recognizer, made, lower=self._capitals)


class SherpaStream:
    """A `SegmentStream`. Words are in lower case, as those of the other drafts."""

    def __init__(self, recognizer: Any, stream: Any, *, lower: bool) -> None:
        self._recognizer = recognizer
        self._stream = stream
        self._lower = lower

    def feed(self, samples: npt.NDArray[np.int16]) -> list[RecognizedWord]:
        self._accept(_as_floats(samples))
        return self._words()

    def finish(self, samples: npt.NDArray[np.int16]) -> list[RecognizedWord]:
        self._stream.accept_waveform(ASR_HZ, _as_floats(samples))
        self._stream.accept_waveform(ASR_HZ, _TAIL)
        self._stream.input_finished()
        self._accept(np.zeros(0, np.float32))
        words = self._words()
        self.drop()
        return words

    def drop(self) -> None:
        self._stream = None

    def _accept(self, samples: npt.NDArray[np.float32]) -> None:
        if samples.size:
            self._stream.accept_waveform(ASR_HZ, samples)
        while self._recognizer.is_ready(self._stream):
            self._recognizer.decode_stream(self._stream)

    def _words(self) -> list[RecognizedWord]:
        result = self._recognizer.get_result_all(self._stream)
        heard = words_of(result.tokens, result.timestamps, result.ys_probs)
        return [replace(word, text=word.text.lower()) for word in heard] if self._lower else heard


def _as_floats(samples: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    floats: npt.NDArray[np.float32] = samples.astype(np.float32) / np.float32(32768)
    return floats


def words_of(tokens: list[str], starts_s: list[float], logs: list[float]) -> list[RecognizedWord]:
    """Pieces of words (` hel`, `lo`) with the second at which each begins, joined to words.

    A word ends where the next begins, at most 200 ms after its last piece began; its confidence is the mean of its
    pieces' probabilities, of which `logs` are the natural logarithms (empty for a model that has none).
    """
    pieces: list[list[int]] = []
    for at, token in enumerate(tokens):
        if token[:1] in (" ", "▁") or not pieces:
            pieces.append([])
        pieces[-1].append(at)
    words = []
    for number, piece in enumerate(pieces):
        spoken = "".join(tokens[at] for at in piece).replace("▁", " ").strip()
        if not spoken:
            continue
        start_ms, last_ms = round(1000 * starts_s[piece[0]]), round(1000 * starts_s[piece[-1]])
        end_ms = last_ms + _LAST_WORD_MS
        if number + 1 < len(pieces):
            end_ms = min(end_ms, round(1000 * starts_s[pieces[number + 1][0]]))
        sure = [min(1.0, exp(logs[at])) for at in piece] if len(logs) == len(tokens) else []
        words.append(
            RecognizedWord(spoken, start_ms, max(end_ms, start_ms), sum(sure) / len(sure) if sure else None)
        )
    return words


def _recognizer(folder: Path, threads: int, *, with_hints: bool) -> Any:
    from sherpa_onnx import OnlineRecognizer

    files = {part: str(file) for part, file in _files(folder).items()}
    shared: dict[str, Any] = {"tokens": str(folder / "tokens.txt"), "num_threads": threads}
    if "joiner" not in files:
        return _ctc(files["model"])(model=files["model"], **shared)
    if not with_hints:
        return OnlineRecognizer.from_transducer(**files, **shared)
    with tempfile.TemporaryDirectory(prefix="callreel-") as place:
        pieces = Path(place, "bpe.vocab")
        pieces.write_text(vocabulary((folder / "bpe.model").read_bytes()), encoding="utf-8")
        return OnlineRecognizer.from_transducer(
            **files,
            **shared,
            decoding_method="modified_beam_search",
            modeling_unit="bpe",
            bpe_vocab=str(pieces),
        )


def _ctc(model: str) -> Any:
    """How to open a CTC model of its family, which its metadata tells."""
    import onnxruntime
    from sherpa_onnx import OnlineRecognizer

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    told: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
    if "decode_chunk_len" in told:
        return OnlineRecognizer.from_zipformer2_ctc
    if "frame_length_ms" in told:
        return OnlineRecognizer.from_t_one_ctc
    if "window_size" in told and "cache_last_channel_dim1" in told:
        return OnlineRecognizer.from_nemo_ctc
    raise ValueError(f"{Path(model).name} is no streaming CTC model: its metadata names none")


def _files(folder: Path) -> dict[str, Path]:
    """The ONNX files of a folder by their part: encoder, decoder and joiner, or model. Raises EngineError."""
    onnx = sorted(folder.glob("*.onnx"), key=lambda file: (".int8." in file.name, file.name))
    encoders = [file for file in onnx if "encoder" in file.name]
    if encoders:
        named = {part: folder / encoders[-1].name.replace("encoder", part) for part in _PARTS}
        missing = [file.name for file in named.values() if not file.is_file()]
        if missing:
            raise EngineError(f"engine sherpa-onnx: expected {missing[0]} in the folder {folder}, found none")
        return named
    if not onnx:
        raise EngineError(f"engine sherpa-onnx: expected an ONNX model in the folder {folder}, found none")
    return {"model": onnx[-1]}


def _folder(options: Options) -> Path:
    return _MODELS.folder(text(options, "model", _DEFAULT_MODEL))


def _repository(model: str) -> str:
    if model in _REPOSITORIES:
        return _REPOSITORIES[model]
    if model.startswith((".", "/", "~")) or model.count("/") != 1:
        near = difflib.get_close_matches(model, MODELS, n=1)
        raise EngineError(
            f"engine sherpa-onnx: there is no folder and no model {model!r}"
            + (f"; did you mean {near[0]}?" if near else f"; models are {', '.join(MODELS)}")
        )
    return model


_MODELS = hub.Models("sherpa-onnx", "tokens.txt", _FILES, MODELS, _repository)
