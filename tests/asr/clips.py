"""Recorded speech for the tests of engines. It lies outside the repository, so its tests are skipped without it.

`CALLREEL_TEST_AUDIO` names the folder; without it, `../shared/audio` beside the repository is looked at.
"""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr

FOLDER = Path(os.environ.get("CALLREEL_TEST_AUDIO") or Path(__file__).parents[3] / "shared" / "audio")


def clip(name: str, rate_hz: int) -> npt.NDArray[np.int16]:
    """Samples of the clip (mono, 16 kHz in the file) at `rate_hz`."""
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"needs the test recording {path}")
    samples, source_hz = soundfile.read(path, dtype="int16")
    resampled: npt.NDArray[np.int16] = soxr.resample(samples, source_hz, rate_hz)
    return resampled
