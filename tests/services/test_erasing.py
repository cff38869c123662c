"""Erasing a call: nothing of it is left but that it was."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from callreel.domain.call import CallState
from callreel.domain.errors import CarrierError, StoreError
from callreel.domain.ids import CallId
from callreel.domain.recording import Layer
from callreel.services.archiving import Archiving
from callreel.services.erasing import BY_POLICY, Erasing
from callreel.services.layer_audio import open_layer
from callreel.services.peaks import layer_peaks
from callreel.store import calls, erasures, layers
from callreel.store.tables import metadata
from tests.services.ground import Ground
from tests.services.recorded_call import SID, Recorded, recorded_call
from tests.services.rest_server import Answer

GONE_THERE = f"/2010-04-01/Accounts/AC{'1' * 32}/Recordings/{SID}.json"
OURS = ("erasures", "alembic_version", "turn_fts")


@pytest.fixture
def recorded(ground: Ground) -> Iterator[Recorded]:
    with recorded_call(ground) as made:
        made.fetching().attempt(SID, 1)
        made.fetching().split(SID)
        made.transcribing().from_recording(made.call_id)
        made.judging().judge(made.call_id)
        made.server.put(GONE_THERE, Answer(204))
        yield made


def erasing(recorded: Recorded, after: timedelta | None = None) -> Erasing:
    ground = recorded.ground
    return Erasing(ground.database, ground.blobs, recorded.carrier, ground.clock, after=after)


def files_left(ground: Ground) -> list[str]:
    folders = ("audio_recordings", "twilio_recordings", "peaks", "remade")
    return [blob.key for folder in folders for blob in ground.blobs.here(folder)]


def rows_left(ground: Ground, call_id: CallId) -> dict[str, int]:
    """Rows that name the call, or hang on one that did."""
    left = {}
    with ground.database.read() as conn:
        for table in metadata.sorted_tables:
            if "call_id" in table.c and table.name not in OURS:
                found = conn.execute(table.select().where(table.c.call_id == call_id)).all()
                left[table.name] = len(found)
        for name in ("calls", "turns", "words", "turn_index"):
            left[name] = conn.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one()
        hits = conn.exec_driver_sql("SELECT count(*) FROM turn_fts").scalar_one()
    return {name: count for name, count in {**left, "turn_fts": hits}.items() if count}


@pytest.mark.parametrize("archived", [False, True])
def test_nothing_is_left_but_a_tombstone_with_digests(recorded: Recorded, archived: bool) -> None:
    ground = recorded.ground
    with ground.database.read() as conn:
        files = layers.of_call(conn, recorded.call_id)
    if archived:
        Archiving(ground.database, ground.blobs, ground.clock, after=None, only_trusted=True).archive(
            recorded.call_id
        )
        with ground.database.read() as conn:
            wide = [file for file in layers.of_call(conn, recorded.call_id) if file.layer is Layer.LIVE_16K]
        for file in wide:
            open_layer(ground.blobs, file).close()
    layer_peaks(ground.blobs, files, Layer.LIVE_8K, recorded.call.topology, 10) if not archived else None
    assert files_left(ground) and rows_left(ground, recorded.call_id)
    assert erasing(recorded).erase(recorded.call_id, "ada") == len(files)
    assert files_left(ground) == [] and rows_left(ground, recorded.call_id) == {}
    assert len([seen for seen in recorded.server.seen if seen.path == GONE_THERE]) == 1
    with ground.database.read() as conn:
        [stone] = erasures.everything(conn)
    assert (stone.call_id, stone.by, stone.erased_at) == (recorded.call_id, "ada", ground.clock.now())
    assert stone.files == {file.path: file.sha256 for file in files}
    with pytest.raises(StoreError, match="there is no call"):
        erasing(recorded).erase(recorded.call_id, "ada")


def test_nothing_goes_here_while_the_carrier_cannot(recorded: Recorded) -> None:
    before = files_left(recorded.ground)
    recorded.server.put(GONE_THERE, Answer(503))
    with pytest.raises(CarrierError):
        erasing(recorded).erase(recorded.call_id, "ada")
    assert files_left(recorded.ground) == before
    assert (
        erasing(recorded).erase(recorded.call_id, "ada", at_carrier=False)
        and files_left(recorded.ground) == []
    )


def test_a_call_that_is_not_judged_stays(recorded: Recorded) -> None:
    with recorded.ground.database.write() as conn:
        conn.exec_driver_sql("UPDATE calls SET state = 'ended'")
    assert recorded.call.state is CallState.ENDED
    with pytest.raises(StoreError, match="not judged yet"):
        erasing(recorded).erase(recorded.call_id, "ada")
    assert files_left(recorded.ground)


def test_the_policy_erases_after_its_days_and_goes_on_with_what_was_begun(recorded: Recorded) -> None:
    assert erasing(recorded).sweep() == 0
    policy = erasing(recorded, timedelta(days=30))
    recorded.ground.clock.step(29 * 86_400)
    assert policy.sweep() == 0
    recorded.server.put(GONE_THERE, Answer(503), Answer(204))
    recorded.ground.clock.step(2 * 86_400)
    assert policy.sweep() == 0 and files_left(recorded.ground)
    assert policy.sweep() == 1
    with recorded.ground.database.read() as conn:
        assert calls.get(conn, recorded.call_id) is None
        [stone] = erasures.everything(conn)
    assert stone.by == BY_POLICY and stone.erased_at is not None
