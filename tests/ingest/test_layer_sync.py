from pathlib import Path

import pytest

from callreel.domain.call import Role
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.ingest import layer_sync
from callreel.ingest.layer_sync import sync_growing_layers
from callreel.store.calls import layers
from callreel.store.files.durable_files import sync_file_system
from callreel.store.files.growing_wav import GrowingWav
from tests.support.installation import Installation, a_call, speech


def test_only_growing_layers_on_this_disk_are_synced(
    installation: Installation,
) -> None:
    call = a_call(installation)
    states = {
        "a.wav": LayerState.RECORDING,
        "b.wav": LayerState.CLOSED,
        "elsewhere.wav": LayerState.RECORDING,
    }
    with installation.database.write() as conn:
        for name, state in states.items():
            layers.upsert(
                conn, call.id, LayerFile(Layer.LIVE_8K, Role.AGENT, name, 8_000, 1, 0, 44, None, state)
            )
    with GrowingWav.open(installation.blobs.root / "a.wav", 8_000) as wav:
        wav.append(speech(100))
        (installation.blobs.root / "b.wav").touch()
        assert sync_growing_layers(installation.database, installation.blobs.root) == 1


def test_many_layers_are_synced_together(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    call = a_call(installation)
    installation.blobs.root.mkdir(parents=True, exist_ok=True)
    one_by_one: list[str] = []
    monkeypatch.setattr(layer_sync, "sync_file", lambda path: one_by_one.append(path.name))
    for count in (layer_sync.MAX_SINGLE_SYNCS, layer_sync.MAX_SINGLE_SYNCS + 1):
        with installation.database.write() as conn:
            for number in range(count):
                name = f"{number}.wav"
                (installation.blobs.root / name).touch()
                file = LayerFile(Layer.LIVE_8K, Role.AGENT, name, 8_000, 1, 0, 44, None, LayerState.RECORDING)
                layers.upsert(conn, call.id, file)
        assert sync_growing_layers(installation.database, installation.blobs.root) == count
    together = sync_file_system(installation.blobs.root)
    assert len(one_by_one) == (
        layer_sync.MAX_SINGLE_SYNCS if together else 2 * layer_sync.MAX_SINGLE_SYNCS + 1
    )


def test_missing_folder_cannot_be_synced(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        sync_file_system(tmp_path / "gone")
