from callreel.domain.call import Role
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.services.layer_sync import LayerSync
from callreel.store import layers
from callreel.store.growing_wav import GrowingWav
from tests.services.ground import Ground, a_call, speech


def test_growing_layers_are_synced_and_finished_or_foreign_ones_left_alone(ground: Ground) -> None:
    call = a_call(ground)
    states = {
        "a.wav": LayerState.RECORDING,
        "b.wav": LayerState.CLOSED,
        "elsewhere.wav": LayerState.RECORDING,
    }
    with ground.database.write() as conn:
        for name, state in states.items():
            layers.upsert(
                conn, call.id, LayerFile(Layer.LIVE_8K, Role.AGENT, name, 8_000, 1, 0, 44, None, state)
            )
    with GrowingWav.open(ground.blobs.root / "a.wav", 8_000) as wav:
        wav.append(speech(100))
        (ground.blobs.root / "b.wav").touch()
        assert LayerSync(ground.database, ground.blobs.root, 1.0).sweep() == 1
