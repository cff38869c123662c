"""Encrypted files: the same bytes as plain ones for every reader, at any range and instant, and nothing plain on the disk."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callreel.audio import wav
from callreel.domain.errors import EncryptionKeyError, StoreError
from callreel.store.encryption.sealed_file import HEADER_BYTES, RECORD_BYTES, DamagedFileError
from callreel.store.files.blobs import BlobExistsError, BlobStore
from callreel.store.files.growing_wav import GrowingWav, RepairedWav, repair
from callreel.store.files.part_file import PartFile
from callreel.store.files.scratch import ScratchFile
from callreel.store.files.sound_files import SoundFile
from callreel.store.files.stored_file import open_stored, stored_digest, stored_size
from tests.support.encryption import Keys, files_with

KEY = "twilio_recordings/CA1_RE1.wav"
NOISE = np.random.default_rng(1).integers(-9_000, 9_000, 40_000).astype(np.int16)
BLOCK = 1_280
KEYS = Keys()

steps = st.lists(
    st.one_of(
        st.integers(0, 300).map(lambda count: ("append", count)),
        st.integers(0, 900).map(lambda samples: ("pad_to", samples)),
        st.just(("reopen", 0)),
    ),
    max_size=12,
)


def content(path: Path) -> bytes:
    with open_stored(path, KEYS, complete=False) as file:
        return file.read()


def written(path: Path, blocks: int = 4) -> bytes:
    """A finished growing file of some blocks; its stored bytes."""
    with GrowingWav.open(path, 8_000, keys=KEYS) as growing:
        for at in range(blocks):
            growing.append(NOISE[at * BLOCK : (at + 1) * BLOCK])
    return path.read_bytes()


@settings(max_examples=60, deadline=None)
@given(steps, st.randoms(use_true_random=False))
def test_growing_file_reads_like_a_plain_one(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], chosen: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("wav")
    plain = GrowingWav.open(folder / "plain.wav", 16_000)
    sealed = GrowingWav.open(folder / "sealed.wav", 16_000, keys=KEYS)
    for step, number in steps:
        if step == "append":
            plain.append(NOISE[:number])
            sealed.append(NOISE[:number])
        elif step == "pad_to":
            plain.pad_to(number)
            sealed.pad_to(number)
        else:
            plain.close()
            sealed.close()
            plain = GrowingWav.open(folder / "plain.wav", 16_000)
            sealed = GrowingWav.open(folder / "sealed.wav", 16_000, keys=KEYS)
        expected = (folder / "plain.wav").read_bytes()
        assert (sealed.samples, sealed.size_bytes) == (plain.samples, len(expected))
        assert stored_size(folder / "sealed.wav", KEYS) == len(expected)
        with open_stored(folder / "sealed.wav", KEYS, complete=False) as file:
            start, stop = sorted(chosen.randrange(len(expected) + 1) for _ in range(2))
            file.seek(start)
            assert file.read(stop - start) == expected[start:stop]
            file.seek(0)
            assert file.read() == expected
    plain.close()
    sealed.close()
    assert stored_digest(folder / "sealed.wav", KEYS) == stored_digest(folder / "plain.wav", None)


def test_nothing_plain_is_on_the_disk(tmp_path: Path) -> None:
    growing = GrowingWav.open(tmp_path / "live.wav", 8_000, keys=KEYS)
    growing.append(NOISE)
    BlobStore(tmp_path, keys=KEYS).put("a/b.json", [b"0123456789abcdef" * 9_000])
    part = PartFile(tmp_path / "download.part", KEYS)
    part.append([NOISE.tobytes(), b"RIFF0123456789abcdef"])
    wanted = [NOISE[at : at + 6].tobytes() for at in range(0, NOISE.size - 6, 100)]
    assert files_with(tmp_path, [*wanted, b"0123456789abcdef", b"RIFF", b"WAVE"]) == []
    growing.close()


@pytest.mark.parametrize("cut", [1, 20, 33, 40, 1_000])
def test_kill_in_an_append_loses_only_that_block(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.wav"
    written(path, 3)
    growing = GrowingWav.open(path, 8_000, keys=KEYS)
    for at in (3, 4):
        growing.append(NOISE[at * BLOCK : (at + 1) * BLOCK])
    os.truncate(path, path.stat().st_size - cut)
    expected = wav.header(4 * BLOCK * 2, 8_000) + NOISE[: 4 * BLOCK].tobytes()
    assert content(path) == expected
    os.close(growing._fd)
    assert repair(path, KEYS) == RepairedWav(4 * BLOCK, len(expected), 8_000, changed=True)
    assert repair(path, KEYS).changed is False
    with open_stored(path, KEYS) as file:
        assert file.read() == expected


def test_power_cut_that_leaves_zeros_loses_only_these(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    growing = GrowingWav.open(path, 8_000, keys=KEYS)
    for at in range(3):
        growing.append(NOISE[at * BLOCK : (at + 1) * BLOCK])
    end = path.stat().st_size
    growing.append(NOISE[:BLOCK])
    os.close(growing._fd)
    with path.open("r+b") as file:
        file.seek(end + 500)
        file.write(bytes(path.stat().st_size - end - 500))
    assert repair(path, KEYS).samples == 3 * BLOCK
    with path.open("ab") as file:
        file.write(bytes(4_096))
    assert repair(path, KEYS).samples == 3 * BLOCK


def _flipped(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _records(data: bytes) -> list[bytes]:
    """Header, four records, end."""
    size = 33 + 2 * BLOCK
    cuts = [0, *(HEADER_BYTES + size * at for at in range(5)), len(data)]
    return [data[first:last] for first, last in zip(cuts, cuts[1:], strict=False)]


def _changed(data: bytes, order: list[int]) -> bytes:
    return b"".join(_records(data)[at] for at in order)


@pytest.mark.parametrize(
    "change",
    [
        _flipped,
        lambda data: _flipped(data[:HEADER_BYTES]) + data[HEADER_BYTES:],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data[: len(data) - 40],
        lambda data: _changed(data, [0, 1, 2, 3]),
        lambda data: _changed(data, [0, 2, 1, 3, 4, 5]),
        lambda data: _changed(data, [0, 1, 1, 2, 3, 5]),
        lambda data: _changed(data, [0, 1, 2, 4, 5]),
        lambda data: _changed(data, [0, 5]),
    ],
    ids=["bit", "header", "trailer", "cut", "truncated", "reordered", "repeated", "left out", "emptied"],
)
def test_changed_file_is_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(change(written(path)))
    with pytest.raises(DamagedFileError, match="a.wav is damaged"), open_stored(path, KEYS) as file:
        file.read()


def test_record_of_another_file_is_refused(tmp_path: Path) -> None:
    mine, other = written(tmp_path / "a.wav"), written(tmp_path / "b.wav")
    swapped = [*_records(mine)]
    swapped[2] = _records(other)[2]
    (tmp_path / "a.wav").write_bytes(b"".join(swapped))
    with pytest.raises(DamagedFileError, match="record 1 does not authenticate"):
        with open_stored(tmp_path / "a.wav", KEYS) as file:
            file.read()


def test_other_records_of_a_damaged_file_stay_readable(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(_flipped(written(path)))
    with open_stored(path, KEYS) as file:
        assert file.read(44 + BLOCK) == wav.header(8 * BLOCK, 8_000) + NOISE[: BLOCK // 2].tobytes()


def test_missing_and_wrong_keys_are_clear_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    before = written(path)
    with pytest.raises(EncryptionKeyError, match="a.wav is encrypted; set CALLREEL_ENCRYPTION_KEYS"):
        open_stored(path, None)
    other = Keys()
    for opened in (lambda: open_stored(path, other), lambda: GrowingWav.open(path, 8_000, keys=other)):
        with pytest.raises(DamagedFileError, match="its key does not authenticate"):
            opened()
    other.keys = {8: b"x" * 32}
    with pytest.raises(EncryptionKeyError, match="data key 7 is not in the database"):
        repair(path, other)
    assert path.read_bytes() == before


def test_plain_file_stays_readable_and_continues_plain(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    GrowingWav.open(path, 8_000).close()
    with GrowingWav.open(path, 8_000, keys=KEYS) as growing:
        growing.append(NOISE[:100])
    assert content(path) == path.read_bytes() == wav.header(200, 8_000) + NOISE[:100].tobytes()


def test_hours_of_silence_take_no_disk_space(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    hours = 20 * 3_600 * 16_000
    with GrowingWav.open(path, 16_000, keys=KEYS) as growing:
        growing.append(NOISE[:100])
        growing.pad_to(hours)
        growing.append(NOISE[:100])
    assert path.stat().st_size < 2_000
    with open_stored(path, KEYS) as file:
        file.seek(44 + 2 * hours - 10)
        assert file.read() == bytes(10) + NOISE[:100].tobytes()


WRITER = """
import sys
import numpy as np
from pathlib import Path
from callreel.store.files.growing_wav import GrowingWav
from tests.support.encryption import Keys

keys = Keys()
keys.keys = {7: b"k" * 32}
growing = GrowingWav.open(Path(sys.argv[1]), 8_000, keys=keys)
at = 0
while True:
    growing.append((np.arange(at, at + 40_000) % 30_000).astype(np.int16))
    at += 40_000
    print(at, flush=True)
"""


@pytest.mark.parametrize("after", [1, 7, 20])
def test_killed_writer_leaves_all_acknowledged_blocks(tmp_path: Path, after: int) -> None:
    path = tmp_path / "a.wav"
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(after):
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        acknowledged = int([str(acknowledged), *writer.stdout.read().split()][-1])
    keys = Keys()
    keys.keys = {7: b"k" * 32}
    found = repair(path, keys)
    assert found.samples in (acknowledged, acknowledged + 40_000)
    with open_stored(path, keys) as file, SoundFile(file, "a.wav") as sound:
        whole = sound.read(0, sound.samples)[:, 0]
    assert np.array_equal(whole, (np.arange(found.samples) % 30_000).astype(np.int16))


# Finished files


@pytest.mark.parametrize(
    "size", [0, 1, RECORD_BYTES - 1, RECORD_BYTES, RECORD_BYTES + 1, 5 * RECORD_BYTES + 17]
)
def test_stored_file_is_read_at_any_range(tmp_path: Path, size: int) -> None:
    store = BlobStore(tmp_path, keys=KEYS)
    data = random.Random(size).randbytes(size)
    info = store.put(KEY, [data[:100], data[100:]])
    assert (info.size_bytes, info.sha256) == (size, BlobStore(tmp_path / "plain").put(KEY, [data]).sha256)
    stat = store.stat(KEY)
    assert stat is not None and stat.size_bytes == size
    assert store.digest(KEY) == info.sha256
    for start, stop in [(0, size), (size // 3, size // 2), (max(0, size - 1), size), (size, size)]:
        assert b"".join(store.open_range(KEY, start, stop)) == data[start:stop]
    with pytest.raises(StoreError, match="expected a range within"):
        store.open_range(KEY, 0, size + 1)


def test_repeated_put_is_accepted_although_its_bytes_differ(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, keys=KEYS)
    first = store.put(KEY, [b"sound"])
    before = store.path(KEY).read_bytes()
    assert store.put(KEY, [b"sound"]) == first
    assert store.path(KEY).read_bytes() == before
    with pytest.raises(BlobExistsError, match="already exists with other bytes"):
        store.put(KEY, [b"other"])


def test_encrypted_download_is_resumed(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, keys=KEYS)
    store.part_file(KEY).append([b"first"])
    part = store.part_file(KEY)
    assert part.size_bytes == 5
    with part.path.open("ab") as file:
        file.write(b"\x01torn")
    assert part.size_bytes == 5
    part.append([b" second", b" third"])
    info = store.commit_part(KEY)
    assert (info.size_bytes, b"".join(store.open_range(KEY))) == (18, b"first second third")
    part.path.write_bytes(b"plain, from before encryption")
    assert part.size_bytes == 0
    assert not part.path.exists()


@pytest.mark.parametrize("keys", [None, KEYS])
def test_stretches_of_a_download_are_overwritten(tmp_path: Path, keys: Keys | None) -> None:
    store = BlobStore(tmp_path, keys=keys)
    data = random.Random(3).randbytes(3_000_000)
    part = store.part_file(KEY)
    part.append([data])
    for _ in range(2):
        part.overwrite([(10, 20), (1_000_000, 2_500_001), (2_999_999, 3_000_000)], b"\xff")
    expected = (
        data[:10] + b"\xff" * 10 + data[20:1_000_000] + b"\xff" * 1_500_001 + data[2_500_001:-1] + b"\xff"
    )
    assert store.commit_part(KEY).size_bytes == len(data)
    assert b"".join(store.open_range(KEY)) == expected
    assert [path.name for path in store.path(KEY).parent.iterdir()] == [store.path(KEY).name]


def test_scratch_file_is_rewritable_and_encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = random.Random(4)
    expected = bytearray()
    with ScratchFile() as scratch:
        for _ in range(60):
            at = chosen.randrange(len(expected) + 1)
            data = chosen.randbytes(chosen.choice([1, 500, 70_000]))
            scratch.seek(at)
            assert scratch.write(data) == len(data)
            expected[at : at + len(data)] = data
        scratch.seek(0)
        assert scratch.read() == bytes(expected)
        stored = os.pread(scratch._file.fileno(), 10_000_000, 0)
        assert len(stored) >= len(expected) - 65_536
        assert not any(bytes(expected[at : at + 32]) in stored for at in range(0, len(expected) - 32, 5_000))
