"""Our headers read by soundfile and the standard library, and their headers read by us."""

import io
import struct
import wave

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from callreel.audio import wav
from callreel.audio.wav import WavError, WavInfo


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def riff(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


FMT = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 2, 8_000, 32_000, 4, 16))


@settings(max_examples=40)
@given(
    samples=st.integers(0, 40),
    rate_hz=st.sampled_from([8_000, 16_000]),
    channels=st.sampled_from([1, 2]),
)
def test_written_header_is_read_by_libsndfile(samples: int, rate_hz: int, channels: int) -> None:
    data = np.arange(samples * channels, dtype=np.int16)
    file = io.BytesIO(wav.header(data.nbytes, rate_hz, channels) + data.tobytes())
    with wave.open(file) as reader:
        assert reader.getparams()[:4] == (channels, 2, rate_hz, samples)
    file.seek(0)
    read, read_hz = soundfile.read(file, dtype="int16")
    assert read_hz == rate_hz
    assert read.ravel().tolist() == data.tolist()


@settings(max_examples=40)
@given(st.integers(0, 2**33), st.sampled_from([8_000, 16_000]), st.sampled_from([1, 2]))
def test_written_header_is_read_back(half_bytes: int, rate_hz: int, channels: int) -> None:
    head = wav.header(2 * half_bytes, rate_hz, channels)
    assert len(head) == wav.HEADER_BYTES
    assert wav.parse(head) == WavInfo(rate_hz, channels, 16, wav.PCM, 44, min(2 * half_bytes, 0xFFFF_FFFF))


def test_lengths_stay_at_the_maximum_beyond_four_gigabytes() -> None:
    head = wav.header(5 * 2**30, 8_000)
    assert struct.unpack_from("<I", head, 4) == struct.unpack_from("<I", head, 40) == (0xFFFF_FFFF,)


@pytest.mark.parametrize(("subtype", "tag", "bits"), [("PCM_16", wav.PCM, 16), ("ULAW", wav.MULAW, 8)])
def test_files_of_libsndfile_are_understood(subtype: str, tag: int, bits: int) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((80, 2), np.int16), 8_000, format="WAV", subtype=subtype)
    info = wav.parse(file.getvalue())
    assert (info.format, info.bits, info.channels, info.rate_hz) == (tag, bits, 2, 8_000)
    assert info.data_offset + info.data_bytes == len(file.getvalue())
    assert info.duration_ms == 10


def test_an_extensible_head_says_its_true_format() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((80, 2), np.int16), 8_000, format="WAVEX", subtype="PCM_16")
    assert wav.parse(file.getvalue()).format == wav.PCM


def test_unknown_chunks_are_skipped_with_their_padding() -> None:
    info = wav.parse(riff(chunk(b"JUNK", b"odd"), FMT, chunk(b"LIST", b"INFO?"), chunk(b"data", bytes(8))))
    assert (info.channels, info.data_bytes) == (2, 8)


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        (b"", "an empty file"),
        (b"ID3\x04 and so on, an mp3", "expected a WAV file"),
        (b"RIFF\0\0\0\0AVI and so on", "expected a WAV file"),
        (b'{"status": 404, "message": "not found"}', "expected a WAV file"),
        (riff(FMT), "expected a data chunk"),
        (riff(FMT)[:30], "expected a data chunk"),
        (riff(chunk(b"data", bytes(8)), FMT), "expected a fmt chunk"),
        (riff(chunk(b"fmt ", bytes(10)), chunk(b"data", b"")), "expected a fmt chunk"),
        (riff(chunk(b"fmt ", bytes(16)), chunk(b"data", b"")), "expected channels"),
    ],
)
def test_other_files_are_refused_in_one_line(head: bytes, fault: str) -> None:
    with pytest.raises(WavError, match=fault) as caught:
        wav.parse(head)
    assert "\n" not in str(caught.value)


@settings(max_examples=40)
@given(st.binary(max_size=80))
def test_any_header_is_read_or_raises_a_wav_error(junk: bytes) -> None:
    for head in (junk, riff(FMT) + junk, riff(junk)):
        try:
            assert wav.parse(head).data_offset <= len(head)
        except WavError as error:
            assert str(error)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from([1, 2]))
def test_repaired_length_counts_whole_sample_frames(file_size: int, channels: int) -> None:
    length = wav.repaired_length(file_size, channels)
    assert length % (2 * channels) == 0
    assert 0 <= length <= max(0, file_size - wav.HEADER_BYTES) < length + 2 * channels


def scanned(file: bytes) -> WavInfo:
    return wav.scan(lambda at, count: file[at : at + count], len(file))


def test_missing_bytes_differ_from_a_streamed_length() -> None:
    cut = riff(FMT, b"data" + struct.pack("<I", 1_000) + bytes(100))
    streamed = riff(FMT, b"data" + struct.pack("<I", 0xFFFF_FFFF) + bytes(100))
    assert (scanned(cut).data_bytes, scanned(cut).missing_bytes) == (100, 900)
    assert (scanned(streamed).data_bytes, scanned(streamed).missing_bytes) == (100, 0)


def test_a_rate_outside_of_4_to_192_khz_is_refused() -> None:
    for rate_hz in (1, 3_999, 192_001):
        fmt = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, rate_hz, 2 * rate_hz, 2, 16))
        with pytest.raises(WavError, match=f"got {rate_hz} Hz"):
            wav.parse(riff(fmt, chunk(b"data", bytes(8))))


@settings(max_examples=40)
@given(st.binary(max_size=200))
def test_any_bytes_are_scanned_or_raise_a_wav_error(junk: bytes) -> None:
    for file in (junk, b"RIFF\0\0\0\0WAVE" + junk):
        try:
            assert 0 <= scanned(file).data_bytes <= len(file)
        except WavError:
            pass
