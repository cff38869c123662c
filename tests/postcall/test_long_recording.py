"""Stages on a long recording: what they hold in memory is bounded, whatever the length."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks.long_call import CALL, SID, LongCall, long_call

from callreel.asr.engine import Capabilities, Transcription
from callreel.audio.segmenter import SegmenterOptions
from callreel.domain.verdict import Verdict
from callreel.postcall.missing_phrases import MissingPhrases
from callreel.postcall.transcription import FinalEngine, FinalTranscriber
from callreel.store.calls import calls
from tests.support.installation import LoudnessDetector, one_word

MINUTES = 20
BYTES = MINUTES * 60 * 8_000 * 2 * 2
"""Of the carrier's recording, 38 MB."""
BOUND = 16_000_000


def transcribing(call: LongCall) -> FinalTranscriber:
    return FinalTranscriber(
        call.database, call.blobs, call.publisher, 
        FinalEngine(Capabilities("final", "model", False, True, True, True), lambda segments, language: [Transcription(one_word(samples, False)) for samples in segments]),
        MissingPhrases(call.database, call.clock),
        new_detector=LoudnessDetector, segmenter=SegmenterOptions(min_silence_ms=800),
    )  # fmt: skip


@pytest.mark.slow
def test_no_stage_holds_a_whole_recording(tmp_path: Path) -> None:
    with long_call(tmp_path, MINUTES) as call:
        most: dict[str, int] = {}
        tracemalloc.start()
        try:
            stages: dict[str, Callable[[], int]] = {
                "split": lambda: call.downloading.split(SID),
                "compare": lambda: call.comparing.compare(CALL),
                "transcribe": lambda: transcribing(call).from_recording(CALL),
            }
            for name, stage in stages.items():
                tracemalloc.reset_peak()
                stage()
                most[name] = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        with call.database.read() as conn:
            row = calls.get(conn, CALL)
        assert row is not None and row.verdict is Verdict.VERIFIED
        assert max(most.values()) < BOUND < BYTES / 2, most
