"""What a minute of recording costs after the call, engine aside: CPU of each step, and the most memory.

    python -m benchmarks.stages [--minutes 10] [--json]

The recording is made: two channels at 8 kHz, noise in turns, as the carrier delivers it.
"""

import argparse
import hashlib
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import soundfile

from benchmarks.server import machine
from callreel.audio.envelope import block_rms
from callreel.audio.levels import peaks
from callreel.audio.resample import upsample_all
from callreel.audio.split import split_channels
from callreel.engines.silero import SileroDetector
from callreel.services.wav_files import read_wav

RATE_HZ = 8_000
TURN_S = 4
BLOCK = 80

T = TypeVar("T")
Samples = npt.NDArray[np.int16]


def turns(minutes: int) -> Samples:
    """[n, 2]: the channels speak by turns."""
    noise = np.random.default_rng(5).normal(0, 3_000, (minutes * 60 * RATE_HZ, 2)).astype(np.int16)
    turn = np.arange(len(noise)) // (TURN_S * RATE_HZ) % 2
    noise[turn == 0, 1] = 0
    noise[turn == 1, 0] = 0
    return noise


@contextmanager
def a_recording(minutes: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.wav"
        soundfile.write(path, turns(minutes), RATE_HZ, subtype="PCM_16")
        yield path


def detect(channel: Samples) -> int:
    """Steps of speech detection over a channel."""
    detector = SileroDetector()
    step = detector.step_samples
    return sum(
        detector.probability(channel[at : at + step]) > 0.5 for at in range(0, channel.size - step, step)
    )


def measure(minutes: int) -> dict[str, float]:
    """CPU ms a minute of two-channel recording for each step, in the order of the stages."""
    took: dict[str, float] = {}

    def timed(name: str, work: Callable[[], T]) -> T:
        began = time.process_time()
        result = work()
        took[name] = round(1000 * (time.process_time() - began) / minutes, 2)
        return result

    with a_recording(minutes) as path:
        timed("digest", lambda: hashlib.file_digest(path.open("rb"), "sha256").hexdigest())
        samples, _ = timed("read", lambda: read_wav(path))
        channels = timed("split", lambda: split_channels(samples))
        timed("loudness", lambda: [block_rms(channel, BLOCK) for channel in channels])
        timed("peaks", lambda: [peaks(channel, BLOCK) for channel in channels])
        timed("resample", lambda: [upsample_all(channel) for channel in channels])
        timed("detection", lambda: [detect(channel) for channel in channels])
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description="What a minute of recording costs after the call.")
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    took = measure(given.minutes)
    most_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    told = {
        "machine": machine(),
        "minutes": given.minutes,
        "cpu_ms_per_minute": took,
        "most_memory_mb": most_mb,
    }
    if given.json:
        print(json.dumps(told, indent=2))
        return
    for name, value in told.items():
        print(f"{name:20}{value}")


if __name__ == "__main__":
    main()
