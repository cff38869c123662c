import os
import signal
import stat
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from callreel.audio import wav
from callreel.domain.errors import AudioFileError, StoreError
from callreel.store.files.growing_wav import GrowingWav, RepairedWav, StillGrowingError, repair

BLOCK = 1600


def ramp(start: int, count: int) -> npt.NDArray[np.int16]:
    """Samples whose values are their positions."""
    return (np.arange(start, start + count) % 30_000).astype(np.int16)


def played(path: Path) -> npt.NDArray[np.int16]:
    samples, _ = soundfile.read(path, dtype="int16")
    return np.asarray(samples, np.int16)


def test_growing_file_is_always_playable(tmp_path: Path) -> None:
    path = tmp_path / "audio_recordings" / "agent.wav"
    with GrowingWav.open(path, 8000) as growing:
        for start in range(0, 5 * BLOCK, BLOCK):
            assert np.array_equal(played(path), ramp(0, start))
            growing.append(ramp(start, BLOCK))
        assert (growing.samples, growing.duration_ms, growing.size_bytes) == (8000, 1000, 16_044)
        growing.sync()
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.subtype, info.frames) == (8000, 1, "PCM_16", 8000)
    assert np.array_equal(played(path), ramp(0, 8000))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


steps = st.lists(
    st.one_of(
        st.integers(0, 300).map(lambda count: ("append", count)),
        st.integers(0, 900).map(lambda samples: ("pad_to", samples)),
        st.just(("reopen", 0)),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(steps)
def test_file_contains_the_appended_samples(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    path = tmp_path_factory.mktemp("wav") / "agent.wav"
    expected = np.zeros(0, np.int16)
    growing = GrowingWav.open(path, 16_000)
    for step, number in steps:
        if step == "append":
            growing.append(ramp(len(expected) + 1, number))
            expected = np.concatenate([expected, ramp(len(expected) + 1, number)])
        elif step == "pad_to":
            growing.pad_to(number)
            expected = np.pad(expected, (0, max(0, number - len(expected))))
        else:
            growing.close()
            growing = GrowingWav.open(path, 16_000)
        assert growing.samples == len(expected)
        assert np.array_equal(played(path), expected)
    growing.close()
    growing.close()
    assert path.read_bytes() == wav.header(2 * len(expected), 16_000) + expected.astype("<i2").tobytes()


def test_header_may_lag_but_never_counts_too_much(tmp_path: Path) -> None:
    path = tmp_path / "agent.wav"
    growing = GrowingWav.open(path, 8000, header_lag_ms=1_000)
    for start in range(0, 9_600, BLOCK):
        growing.append(ramp(start, BLOCK))
        now = played(path)
        assert growing.samples - 8_000 < now.size <= growing.samples
        assert np.array_equal(now, ramp(0, now.size))
    growing.pad_to(10_000)
    assert played(path).size == 10_000
    growing.append(ramp(0, 100))
    growing.close()
    assert played(path).size == 10_100


def test_samples_of_another_type_raise(tmp_path: Path) -> None:
    with GrowingWav.open(tmp_path / "a.wav", 8000) as growing:
        with pytest.raises(ValueError, match="expected int16"):
            growing.append(np.zeros(4, np.float32))
        with pytest.raises(ValueError, match="expected int16"):
            growing.append(np.zeros((4, 2), np.int16))
        growing.append(np.arange(20, dtype=np.int16)[::2])
        assert played(growing.path).tolist() == list(range(0, 20, 2))


def test_second_writer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with GrowingWav.open(path, 8000):
        with pytest.raises(StillGrowingError, match="still written"):
            GrowingWav.open(path, 8000)
        with pytest.raises(StillGrowingError, match="still written"):
            repair(path)
    assert repair(path) == RepairedWav(0, 44, 8000, changed=False)


def test_file_of_another_rate_or_format_is_refused(tmp_path: Path) -> None:
    GrowingWav.open(tmp_path / "a.wav", 8000).close()
    with pytest.raises(AudioFileError, match="expected 16000 Hz in a.wav, found 8000 Hz"):
        GrowingWav.open(tmp_path / "a.wav", 16_000)
    letter = tmp_path / "letter.wav"
    letter.write_text("Dear Sir or Madam, this is a letter and no sound.")
    stereo = tmp_path / "stereo.wav"
    stereo.write_bytes(wav.header(9, 8000, channels=2) + bytes(9))
    for path in (letter, stereo):
        before = path.read_bytes()
        with pytest.raises(AudioFileError):
            repair(path)
        with pytest.raises(AudioFileError):
            GrowingWav.open(path, 8000)
        assert path.read_bytes() == before


def test_unusable_paths_raise_store_errors(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be opened: Not a directory|File exists"):
        GrowingWav.open(tmp_path / "file" / "a.wav", 8000)
    with pytest.raises(StoreError, match="cannot be repaired: No such file"):
        repair(tmp_path / "none.wav")


def test_repair_cuts_half_a_sample_and_corrects_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav.header(20, 8000) + ramp(0, 100).astype("<i2").tobytes() + b"x")
    assert repair(path) == RepairedWav(100, 244, 8000, changed=True)
    assert repair(path) == RepairedWav(100, 244, 8000, changed=False)
    assert np.array_equal(played(path), ramp(0, 100))
    path.write_bytes(path.read_bytes() + b"x")
    with GrowingWav.open(path, 8000) as growing:
        growing.append(ramp(100, 100))
    assert np.array_equal(played(path), ramp(0, 200))


FULL = """
import resource, signal, sys
import numpy as np
from pathlib import Path
from callreel.domain.errors import StoreError
from callreel.store.files.growing_wav import GrowingWav

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
for then in ("again", "silence", "nothing"):
    growing = GrowingWav.open(Path(sys.argv[1]) / f"{then}.wav", 8000)
    growing.append(np.arange(100, dtype=np.int16))
    resource.setrlimit(resource.RLIMIT_FSIZE, (301, most))
    try:
        growing.append(np.arange(100, 200, dtype=np.int16))
    except StoreError as error:
        print(error, growing.samples)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    if then == "again":
        growing.append(np.arange(100, 200, dtype=np.int16))
    if then == "silence":
        growing.pad_to(200)
    growing.close()
"""


def test_append_can_be_repeated_after_a_full_disk(tmp_path: Path) -> None:
    """A limit on the size of files replaces a full disk. It applies to a process, hence a separate one."""
    run = subprocess.run([sys.executable, "-c", FULL, tmp_path], capture_output=True, text=True, check=True)
    silence = np.zeros(100, np.int16)
    expected = {"again": ramp(100, 100), "silence": silence, "nothing": silence[:0]}
    assert run.stdout.splitlines() == [
        f"the layer file {then}.wav cannot grow: File too large 100" for then in expected
    ]
    for then, rest in expected.items():
        path = tmp_path / f"{then}.wav"
        assert not repair(path).changed
        assert np.array_equal(played(path), np.concatenate([ramp(0, 100), rest]))


WRITER = """
import sys
import numpy as np
from pathlib import Path
from callreel.store.files.growing_wav import GrowingWav

growing = GrowingWav.open(Path(sys.argv[1]), 8000)
while True:
    start = growing.samples
    growing.append((np.arange(start, start + int(sys.argv[2])) % 30_000).astype(np.int16))
    sys.stdout.write(f"{growing.samples:511}\\n")
    sys.stdout.flush()
"""


@pytest.mark.parametrize(("block", "reports"), [(BLOCK, 1), (1999, 12), (100_000, 4)])
def test_kill_loses_no_appended_sample(tmp_path: Path, block: int, reports: int) -> None:
    """The writer appends until the pipe is full of reports; reading one lets it append again."""
    path = tmp_path / "agent.wav"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, path, str(block)], stdout=subprocess.PIPE, pipesize=4096
    )
    assert writer.stdout is not None
    for _ in range(reports):
        appended = int(writer.stdout.readline())
        now = played(path)
        assert len(now) >= appended
        assert np.array_equal(now, ramp(0, len(now)))
    writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)  # during the next append, or close to it
    rest, _ = writer.communicate()
    appended = max([appended, *(int(line) for line in rest.split(b"\n")[:-1])])
    now = played(path)
    assert len(now) >= appended  # playable before a repair
    found = repair(path)
    assert found.samples >= appended
    assert np.array_equal(played(path), ramp(0, found.samples))
    (size,) = struct.unpack_from("<I", path.read_bytes(), 40)
    assert size == path.stat().st_size - 44 == 2 * found.samples
