"""A watched folder: files are imported once they have stopped changing."""

import os
from itertools import pairwise
from pathlib import Path

import pytest

from callreel.domain.errors import StoreError
from callreel.imports import sound_conversion
from callreel.imports.outcome import Outcome, Result
from callreel.imports.watch import FolderWatch
from callreel.store.files.blobs import BlobInfo
from tests.imports.sound_files import importer, two_channels, write_sound
from tests.support.installation import NOON, Installation


def results(found: list[Outcome]) -> list[tuple[str, Result]]:
    return [(one.name, one.result) for one in found]


def test_file_is_imported_once_it_has_stopped_changing(installation: Installation, tmp_path: Path) -> None:
    watch = FolderWatch(importer(installation, tmp_path), None, installation.clock)
    whole = write_sound(tmp_path / "ready/one.wav").read_bytes()
    growing = tmp_path / "growing.wav"
    for size in (9_000, 20_000):
        growing.write_bytes(whole[:size])
        os.utime(growing, (NOON.timestamp(), NOON.timestamp()))
        looked = results(list(watch.look()))
    assert looked == [("ready/one.wav", Result.IMPORTED)]
    write_sound(growing, two_channels(7))
    assert results(list(watch.look())) == []
    assert results(list(watch.look())) == [("growing.wav", Result.IMPORTED)]
    assert list(watch.look()) == []


def test_failed_file_is_tried_again_when_it_changes(installation: Installation, tmp_path: Path) -> None:
    watch = FolderWatch(importer(installation, tmp_path), None, installation.clock)
    (tmp_path / "one.wav").write_bytes(b"RIFF")
    assert [results(list(watch.look())) for _ in range(3)] == [[], [("one.wav", Result.FAILED)], []]
    write_sound(tmp_path / "one.wav")
    assert [results(list(watch.look())) for _ in range(2)] == [[], [("one.wav", Result.IMPORTED)]]


def test_passing_failure_is_reported_once_and_tried_again_with_backoff(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts_s: list[float] = []

    def full(*args: object) -> BlobInfo:
        attempts_s.append(installation.clock.monotonic_s())
        raise StoreError("No space left on device")

    watch = FolderWatch(importer(installation, tmp_path), None, installation.clock)
    write_sound(tmp_path / "one.wav")
    with monkeypatch.context() as filled:
        filled.setattr(sound_conversion, "store", full)
        assert [results(list(watch.look())) for _ in range(3)] == [[], [("one.wav", Result.FAILED)], []]
        assert len(attempts_s) == 1
        for _look in range(600):
            installation.clock.step(1.0)
            assert list(watch.look()) == []
        waits_s = [after - before for before, after in pairwise(attempts_s)]
        assert 7 <= len(waits_s) <= 10 and max(waits_s) <= 300 < 4 * waits_s[-1] and waits_s[0] <= 2
    installation.clock.step(300)
    assert [results(list(watch.look())) for _ in range(2)] == [[("one.wav", Result.IMPORTED)], []]


def test_corrected_row_is_tried_again(installation: Installation, tmp_path: Path) -> None:
    table = tmp_path / "calls.csv"
    watch = FolderWatch(importer(installation, tmp_path), table, installation.clock)
    write_sound(tmp_path / "one.wav")
    table.write_text("file,party\none.wav,agent\n")
    assert [results(list(watch.look())) for _ in range(2)] == [[], [("one.wav", Result.FAILED)]]
    table.write_text("file,agent_channel\none.wav,1\n")
    assert [results(list(watch.look())) for _ in range(2)] == [[("one.wav", Result.IMPORTED)], []]


def test_name_that_is_no_text_does_not_end_the_watch(installation: Installation, tmp_path: Path) -> None:
    table = tmp_path / "calls.json"
    write_sound(tmp_path / "one.wav")
    table.write_text('[{"file": "\\ud800.wav"}, {"file": "one.wav"}]')
    watch = FolderWatch(importer(installation, tmp_path), table, installation.clock)
    assert list(watch.look()) == []
    assert [one.result for one in watch.look()] == [Result.FAILED, Result.IMPORTED]


def test_metadata_is_read_again_and_rows_wait_for_their_file(
    installation: Installation, tmp_path: Path
) -> None:
    table = tmp_path / "calls.csv"
    watch = FolderWatch(importer(installation, tmp_path), table, installation.clock)
    table.write_text("fi")
    assert [results(list(watch.look())) for _ in range(2)] == [[("calls.csv", Result.FAILED)], []]
    table.write_text("file,agent\none.wav,maria\n../two.wav,ada\n")
    assert [results(list(watch.look())) for _ in range(2)] == [[], [("../two.wav", Result.FAILED)]]
    write_sound(tmp_path / "one.wav")
    list(watch.look())
    (outcome,) = watch.look()
    assert outcome.call_id is not None and installation.call(outcome.call_id).agent == "maria"
