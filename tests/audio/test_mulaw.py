"""G.711 against itself and against libsndfile's codec."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from callreel.audio import mulaw

EVERY_CODE = bytes(range(256))
EVERY_SAMPLE = np.arange(-32_768, 32_768).astype(np.int16)


def test_decodes_as_libsndfile_does() -> None:
    oracle, _ = soundfile.read(
        io.BytesIO(EVERY_CODE), dtype="int16", format="RAW", subtype="ULAW", samplerate=8_000, channels=1
    )
    assert np.array_equal(mulaw.decode(EVERY_CODE), oracle)


def test_encodes_as_libsndfile_does_to_within_one_step() -> None:
    # libsndfile rounds to 14 bits first; G.711 leaves that open. So the samples may differ by half a step at most.
    file = io.BytesIO()
    soundfile.write(file, EVERY_SAMPLE, 8_000, format="RAW", subtype="ULAW")
    oracle = mulaw.decode(file.getvalue()).astype(int)
    ours = mulaw.decode(mulaw.encode(EVERY_SAMPLE)).astype(int)
    step = 1 << np.maximum(3, np.frexp(np.abs(EVERY_SAMPLE.astype(int)) + 132)[1] - 5)
    assert np.all(np.abs(ours - oracle) <= step)


@settings(max_examples=40)
@given(st.binary())
def test_encoding_reverses_decoding(codes: bytes) -> None:
    assert mulaw.encode(mulaw.decode(codes)) == codes.replace(b"\x7f", b"\xff")


def test_segments_begin_at_the_recommended_decision_values() -> None:
    # G.711, table 2a: 31, 95, 223, 479, 991, 2015, 4063 of 8159; here times four, for 16 bits.
    begins = np.array([31, 95, 223, 479, 991, 2_015, 4_063], np.int16) * 4
    for first in begins:
        below, at = np.frombuffer(mulaw.encode(np.array([first - 1, first], np.int16)), np.uint8)
        assert (below >> 4, at >> 4) == ((at >> 4) + 1, at >> 4)


def test_silence_code_decodes_to_zero() -> None:
    assert mulaw.encode(np.zeros(3, np.int16)) == bytes([mulaw.SILENCE] * 3)
    assert not mulaw.decode(bytes([mulaw.SILENCE] * 3)).any()


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview, lambda codes: np.frombuffer(codes, np.uint8)])
def test_decodes_every_form_of_bytes(form: type) -> None:
    assert mulaw.decode(form(b"\x00\x80")).tolist() == [-32_124, 32_124]


def test_encodes_arrays_that_are_not_contiguous() -> None:
    assert mulaw.encode(EVERY_SAMPLE[::2]) == mulaw.encode(EVERY_SAMPLE)[::2]
