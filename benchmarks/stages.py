"""What a minute of recording costs after the call, engine aside: CPU of each stage, and the most memory meanwhile.

    python -m benchmarks.stages [--minutes 10] [--json]

The stages are the product's own, on a call that is made first (`long_call.py`), in a folder and a database of its own. The
most memory is this process's, with Python and all libraries, after everything was measured.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.long_call import CALL, LEG, SID, LongCall, long_call
from benchmarks.server import machine
from callreel.asr.engine import Capabilities, Transcription
from callreel.asr.silero import SileroDetector
from callreel.audio.samples import Samples
from callreel.audio.segmenter import SegmenterOptions
from callreel.postcall.missing_phrases import MissingPhrases
from callreel.postcall.transcription import FinalEngine, FinalTranscriber


def transcribing(call: LongCall) -> FinalTranscriber:
    """With the real detector, and an engine that costs nothing and returns no words."""

    def decode(segments: Sequence[Samples], language: str) -> Sequence[Transcription]:
        return [Transcription() for _ in segments]

    return FinalTranscriber(
        call.database, call.blobs, call.publisher, FinalEngine(Capabilities("none", "none", False, True, True, True), decode),
        MissingPhrases(call.database, call.clock),
        new_detector=SileroDetector, segmenter=SegmenterOptions(min_silence_ms=800),
    )  # fmt: skip


def measure(call: LongCall, minutes: int) -> dict[str, float]:
    """CPU ms a minute of two-channel recording for each stage, in their order."""
    took: dict[str, float] = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        began = time.process_time()
        work()
        took[name] = round(1000 * (time.process_time() - began) / minutes, 2)

    timed("digest", lambda: call.blobs.digest(f"twilio_recordings/{LEG}_{SID}.wav"))
    timed("split", lambda: call.downloading.split(SID))
    timed("detect", lambda: transcribing(call).from_recording(CALL))
    timed("compare", lambda: call.comparing.compare(CALL))
    return took


def most_memory_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="What a minute of recording costs after the call.")
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, long_call(Path(folder), given.minutes) as call:
        before_mb = most_memory_mb()
        took = measure(call, given.minutes)
        with call.database.read() as conn:
            [verdict] = conn.exec_driver_sql("SELECT verdict FROM calls").scalars()
    report = {
        "machine": machine(),
        "minutes": given.minutes,
        "cpu_ms_per_minute": took,
        "most_memory_before_mb": before_mb,
        "most_memory_mb": most_memory_mb(),
        "verdict": verdict,
    }
    if given.json:
        print(json.dumps(report, indent=2))
        return
    for name, value in report.items():
        print(f"{name:24}{value}")


if __name__ == "__main__":
    main()
