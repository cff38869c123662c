"""Sound files of other programs: misleading heads, other sample formats and rates, all read as 16-bit samples."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from callreel.audio import wav
from callreel.audio.samples import TELEPHONE_HZ
from callreel.domain.errors import AudioFileError
from callreel.store.files.sound_files import READ_BLOCK, SoundFile, read_wav

STEREO = np.stack([np.arange(4_000), -np.arange(4_000)], axis=1).astype("<i2")
SIZE = STEREO.nbytes
FMT = struct.pack("<HHIIHH", wav.PCM, 2, TELEPHONE_HZ, 4 * TELEPHONE_HZ, 4, 16)


def chunk(name: bytes, body: bytes, *, size: int | None = None, pad: bool = True) -> bytes:
    return (
        name
        + struct.pack("<I", len(body) if size is None else size)
        + body
        + b"\0" * (len(body) % 2 if pad else 0)
    )


def file_of(*between: bytes, size: int | None = None, magic: bytes = b"RIFF", after: bytes = b"") -> bytes:
    body = (
        b"WAVE"
        + chunk(b"fmt ", FMT)
        + b"".join(between)
        + chunk(b"data", STEREO.tobytes(), size=size)
        + after
    )
    return magic + struct.pack("<I", min(len(body), 0xFFFF_FFFF)) + body


def rf64() -> bytes:
    long_sizes = chunk(b"ds64", struct.pack("<QQQI", SIZE + 80, SIZE, len(STEREO), 0))
    body = b"WAVE" + long_sizes + chunk(b"fmt ", FMT) + chunk(b"data", STEREO.tobytes(), size=0xFFFF_FFFF)
    return b"RF64" + struct.pack("<I", 0xFFFF_FFFF) + body


HEADS = {
    "plain": file_of(),
    "size ffffffff": file_of(size=0xFFFF_FFFF),
    "size 7fffffff": file_of(size=0x7FFF_FFFF),
    "size 7ffff000": file_of(size=0x7FFF_F000),
    "size 0": file_of(size=0),
    "44 more than there is": file_of(size=SIZE + 44),
    "8 kB before the data": file_of(chunk(b"bext", b"x" * 8_192)),
    "100 kB before the format": b"RIFF\0\0\0\0WAVE" + chunk(b"JUNK", bytes(100_000)) + file_of()[12:],
    "RF64": rf64(),
    "odd chunk": file_of(chunk(b"note", b"abc")),
    "odd chunk without padding": file_of(chunk(b"note", b"abc", pad=False)),
    "chunk after the data": file_of(after=chunk(b"LIST", b"INFO")),
    "extensible": b"",
}
_extensible = io.BytesIO()
soundfile.write(_extensible, STEREO, TELEPHONE_HZ, format="WAVEX", subtype="PCM_16")
HEADS["extensible"] = _extensible.getvalue()


@pytest.mark.parametrize("kind", HEADS)
def test_all_samples_are_read_whatever_the_head_says(kind: str) -> None:
    with SoundFile(io.BytesIO(HEADS[kind]), "x.wav") as sound:
        assert (sound.samples, sound.channels, sound.rate_hz, sound.duration_ms) == (4_000, 2, 8_000, 500)
        np.testing.assert_array_equal(np.concatenate([*sound.blocks(1_000)]), STEREO)
        np.testing.assert_array_equal(sound.read(3_990, 5_000), STEREO[3_990:])
        np.testing.assert_array_equal(sound.channel(2)[10:20], STEREO[10:20, 1])


def test_an_empty_file_has_no_samples() -> None:
    empty = file_of().partition(STEREO.tobytes())[0][:-4] + bytes(4)
    for after in (b"", chunk(b"LIST", b"INFO")):
        with SoundFile(io.BytesIO(empty + after), "x.wav") as sound:
            assert sound.samples == 0


@pytest.mark.parametrize(
    "subtype", ["FLOAT", "DOUBLE", "PCM_24", "PCM_32", "PCM_16", "ULAW", "ALAW", "PCM_U8"]
)
def test_samples_of_every_format_have_the_same_range(tmp_path: Path, subtype: str) -> None:
    sine = np.sin(np.arange(8_000) / 20) * 0.9
    soundfile.write(tmp_path / "x.wav", sine, TELEPHONE_HZ, subtype=subtype)
    samples, _ = read_wav(tmp_path / "x.wav")
    assert np.abs(samples[:, 0] - sine * 32_768).max() <= {"ULAW": 1_000, "ALAW": 1_000, "PCM_U8": 260}.get(
        subtype, 1
    )


def test_floats_beyond_full_scale_are_clipped_and_nan_is_silence(tmp_path: Path) -> None:
    soundfile.write(
        tmp_path / "x.wav",
        np.array([1.5, -1.5, np.nan, np.inf, 0.25], np.float32),
        TELEPHONE_HZ,
        subtype="FLOAT",
    )
    assert read_wav(tmp_path / "x.wav")[0][:, 0].tolist() == [32_767, -32_768, 0, 32_767, 8_192]


@pytest.mark.parametrize(
    ("rate_hz", "readable"), [(4_000, True), (192_000, True), (1, False), (3_999, False), (384_000, False)]
)
@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_rates_from_4_to_192_khz_are_read_and_others_refused(rate_hz: int, readable: bool, kind: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(100, np.int16), rate_hz, format=kind, subtype="PCM_16")
    if readable:
        with SoundFile(file, "x.wav") as sound:
            assert (sound.rate_hz, sound.samples) == (rate_hz, 100)
    else:
        with pytest.raises(AudioFileError, match=f"{rate_hz} Hz"):
            SoundFile(file, "x.wav")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 60), st.integers(0, 1 << 32))
def test_any_bytes_are_read_or_refused(junk: bytes, at: int, size: int) -> None:
    head = bytearray(file_of(size=size & 0xFFFF_FFFF)[:60])
    head[at : at + len(junk)] = junk
    try:
        with SoundFile(io.BytesIO(bytes(head) + STEREO.tobytes()), "x.wav") as sound:
            assert sum(len(block) for block in sound.blocks()) <= READ_BLOCK * 2
    except AudioFileError:
        pass
