from pathlib import Path

import numpy as np
import pytest
import soundfile

from callreel.domain.call import Role
from callreel.domain.errors import StoreError
from callreel.evaluation.material import MaterialError, read_material
from tests.support.two_channel_call import SECONDS, TURNS, write_call, write_manifest


def write_clip(folder: Path, name: str, rate_hz: int) -> None:
    soundfile.write(folder / name, np.full(rate_hz, 1000, np.int16), rate_hz)


def test_a_call_has_its_turns_with_words_and_their_times(tmp_path: Path) -> None:
    (recorded,) = read_material(write_call(tmp_path))
    assert recorded.kind == "made call"
    assert recorded.timed and recorded.two_channels
    assert [spoken.text for spoken in recorded.spoken] == [text for _, _, text in TURNS]
    assert recorded.spoken[1].role is Role.TECHNICIAN
    first = recorded.spoken[0].words[0]
    assert (first.text, first.start_ms, first.end_ms) == ("is", 1000, 1250)


def test_a_call_has_a_lane_for_each_channel_at_8_khz(tmp_path: Path) -> None:
    (recorded,) = read_material(write_call(tmp_path))
    lanes = recorded.lanes()
    assert list(lanes) == [Role.AGENT, Role.TECHNICIAN]
    assert all(lane.size == SECONDS * 8000 and lane.dtype == np.int16 for lane in lanes.values())
    assert np.abs(lanes[Role.AGENT][8000:9000]).max() > 1000 > np.abs(lanes[Role.TECHNICIAN][8000:9000]).max()


def test_a_clip_has_one_lane_at_8_khz_whatever_its_rate(tmp_path: Path) -> None:
    write_clip(tmp_path, "a.wav", 22050)
    manifest = write_manifest(tmp_path, [{"file": "a.wav", "kind": "read", "reference": 'He said "no"'}])
    (recorded,) = read_material(manifest)
    assert (recorded.kind, recorded.timed) == ("read", False)
    assert recorded.spoken[0].text == 'He said "no"'
    assert recorded.lanes()[Role.AGENT].size == 8000


def test_a_folder_is_read_with_its_clips_and_its_calls(tmp_path: Path) -> None:
    (tmp_path / "calls").mkdir()
    write_call(tmp_path / "calls")
    write_manifest(tmp_path, [{"file": "a.wav", "reference": "one"}, {"file": "b.wav", "reference": "two"}])
    assert [recorded.name for recorded in read_material(tmp_path)] == ["a", "b", "made_call"]


def test_a_limit_takes_from_each_kind_in_turn(tmp_path: Path) -> None:
    rows = [
        {"file": f"{n}.wav", "kind": kind, "reference": "x"} for n, kind in enumerate(("a", "a", "a", "b"))
    ]
    found = read_material(write_manifest(tmp_path, rows), limit=3)
    assert [(recorded.name, recorded.kind) for recorded in found] == [("0", "a"), ("3", "b"), ("1", "a")]


def test_a_pronunciation_variant_is_no_part_of_the_word(tmp_path: Path) -> None:
    manifest = write_call(tmp_path)
    document = tmp_path / "made_call.json"
    document.write_text(document.read_text().replace('"the"', '"the(2)"'))
    words = [word.text for word in read_material(manifest)[0].spoken[0].words]
    assert words[1] == "the"


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"path": "a.wav"}, "expected columns file and reference"),
        ({"file": "a.wav"}, "expected columns file and reference"),
        ({"file": "absent.wav", "turns": "2"}, "absent.json is not a turn list"),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(
    tmp_path: Path, row: dict[str, str], complaint: str
) -> None:
    with pytest.raises(MaterialError, match=complaint):
        read_material(write_manifest(tmp_path, [row]))


def test_missing_manifest_or_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MaterialError, match="found none"):
        read_material(tmp_path)
    with pytest.raises(MaterialError, match="cannot be read: No such file"):
        read_material(tmp_path / "absent.tsv")


def test_recording_without_wav_or_channel_is_refused(tmp_path: Path) -> None:
    (recorded,) = read_material(write_call(tmp_path))
    write_clip(tmp_path, "made_call.wav", 8000)
    with pytest.raises(MaterialError, match="expected 2 channels, found 1"):
        recorded.lanes()
    recorded.path.write_bytes(b"no sound")
    with pytest.raises(MaterialError, match="cannot be read"):
        recorded.lanes()


@pytest.mark.parametrize("name", ["../a.wav", "/etc/hostname", "link.wav", ""])
def test_recording_outside_the_manifests_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "link.wav").symlink_to("/etc/hostname")
    manifest = write_manifest(tmp_path, [{"file": name, "reference": "one"}])
    with pytest.raises(StoreError, match="path"):
        read_material(manifest)
