from datetime import timedelta

from callreel.domain.call import Role
from callreel.domain.ids import LegSid, StreamSid
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.ingest.handover import starting_point
from callreel.store.calls import layers, streams
from callreel.store.calls.streams import EndedBy, StreamRow
from callreel.store.files.growing_wav import GrowingWav
from tests.support.installation import Installation, a_call, speech


def test_stream_of_a_dead_process_ends_where_its_files_do(installation: Installation) -> None:
    """Otherwise the silence until the next stream would count as audio without an explanation."""
    call = a_call(installation)
    died = StreamRow(
        StreamSid("MZ1"), call.id, LegSid(call.leg_sid), 0, installation.clock.now(), owner="gone"
    )
    with installation.database.write() as conn:
        streams.insert(conn, died)
    for role, length_ms in ((Role.AGENT, 700), (Role.TECHNICIAN, 900)):
        for layer, rate_hz in ((Layer.LIVE_8K, 8_000), (Layer.LIVE_16K, 16_000)):
            path = f"audio_recordings/{role}_{call.id}_20261125T100000Z_{rate_hz}Hz.wav"
            with GrowingWav.open(installation.blobs.root / path, rate_hz) as growing:
                growing.append(speech(length_ms * rate_hz // 8_000))
            file = LayerFile(layer, role, path, rate_hz, 1, 0, 44, None, LayerState.RECORDING)
            with installation.database.write() as conn:
                layers.upsert(conn, call.id, file, owner="gone")
    with installation.database.write() as conn:
        streams.finish(conn, died.sid, installation.clock.now() + timedelta(seconds=2), EndedBy.SERVER, {})
    begun = starting_point(installation.database, installation.clock, call, installation.blobs.root)
    assert begun.length_ms == 900
    with installation.database.read() as conn:
        (row,) = streams.of_call(conn, call.id)
    assert row.counts == {Role.AGENT: {"end_ms": 700}, Role.TECHNICIAN: {"end_ms": 900}}
    # Once stored it stays, whichever stream follows.
    with GrowingWav.open(begun.paths[Role.AGENT].live_8k, 8_000) as growing:
        growing.append(speech(100))
    starting_point(installation.database, installation.clock, call, installation.blobs.root)
    with installation.database.read() as conn:
        assert streams.of_call(conn, call.id)[0].counts == row.counts
