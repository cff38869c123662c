from dataclasses import replace

from sqlalchemy import select

from callreel.domain.call import Role
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.store.calls import layers
from callreel.store.db.database import Database
from callreel.store.db.tables import layers as layer_table
from tests.support.rows import CALL, NOON, a_call

GROWING = LayerFile(
    Layer.LIVE_8K, Role.AGENT, "audio_recordings/agent.wav", 8000, 1, 1000, 16_044, None, LayerState.RECORDING
)
CLOUD = LayerFile(
    Layer.CLOUD, None, "twilio_recordings/both.wav", 8000, 2, 2000, 64_044, "ab" * 32, LayerState.CLOSED
)


def test_closed_layer_may_grow_again(database: Database) -> None:
    a_call(database)
    closed = replace(GROWING, duration_ms=2000, size_bytes=32_044, sha256="cd" * 32, state=LayerState.CLOSED)
    with database.write() as conn:
        for file in (GROWING, closed, GROWING):
            layers.upsert(conn, CALL.id, file)
            assert layers.of_call(conn, CALL.id) == [file]
        assert layers.growing(conn) == layers.growing(conn, {None, "one"}) == [(CALL.id, GROWING)]
        assert layers.growing(conn, {"one"}) == layers.growing(conn, set()) == []
        assert (layers.growing_paths(conn), layers.owners_of_growing(conn)) == ([GROWING.path], {None})


def test_layers_are_sorted_by_layer_role_and_path(database: Database) -> None:
    a_call(database)
    split = replace(
        CLOUD, layer=Layer.CLOUD_CHANNEL, role=Role.AGENT, path="twilio_recordings/agent.wav", channels=1
    )
    technician = replace(GROWING, role=Role.TECHNICIAN, path="audio_recordings/a_technician.wav")
    with database.write() as conn:
        for file in (split, CLOUD, technician, GROWING):
            layers.upsert(conn, CALL.id, file)
        assert layers.of_call(conn, CALL.id) == [GROWING, technician, CLOUD, split]
        assert layers.delete(conn, split.path)
        assert not layers.delete(conn, split.path)
        assert layers.of_call(conn, CALL.id) == [GROWING, technician, CLOUD]


def test_time_of_repair_stays(database: Database) -> None:
    a_call(database)
    repaired = replace(GROWING, state=LayerState.REPAIRED)
    with database.write() as conn:
        layers.upsert(conn, CALL.id, repaired, repaired_at=NOON)
        layers.upsert(conn, CALL.id, repaired)
        assert conn.execute(select(layer_table.c.repaired_at)).scalar_one() == NOON
        assert layers.growing(conn) == []
