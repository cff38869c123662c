from dataclasses import replace

import numpy as np
import pytest

from callreel.audio.samples import Samples
from callreel.carrier_client.client import CarrierRecordings
from callreel.carrier_client.rest import CarrierAccess
from callreel.domain.call import Role
from callreel.domain.errors import CallErasedError, CarrierError
from callreel.domain.events import EventKind
from callreel.domain.ids import RecordingSid
from callreel.domain.recording import CloudState, Layer, LayerState
from callreel.domain.work import Workflow
from callreel.store.calls import erasures, recordings
from callreel.store.calls.erasures import ErasureRow
from callreel.store.files.sound_files import read_wav
from tests.support.installation import ACCOUNT, NOON, Installation, leg, silence, speech
from tests.support.recorded_call import (
    AGENT_SAYS,
    LATE_MS,
    MEDIA,
    SID,
    TECHNICIAN_SAYS,
    Recorded,
    mono_wav,
    recorded_call,
    two_channel_wav,
)
from tests.support.rest_server import Answer

CLOUD_KEY = f"twilio_recordings/{leg(1)}_{SID}.wav"
SECOND = RecordingSid("RE" + "2" * 32)


def channel(recorded: Recorded, role: Role) -> Samples:
    (file,) = [file for file in recorded.files(Layer.CLOUD_CHANNEL) if file.role is role]
    samples, rate_hz = read_wav(recorded.installation.blobs.path(file.path))
    assert (rate_hz, samples.shape[1]) == (file.rate_hz, file.channels) == (8_000, 1)
    assert file.sha256 == recorded.installation.blobs.digest(file.path)
    return samples[:, 0]


def cloud(samples: Samples) -> Samples:
    return np.concatenate([silence(LATE_MS), samples, silence(200)])


# Fetching


def test_recording_is_stored_under_its_name(recorded: Recorded) -> None:
    recorded.downloading().download(SID)
    assert recorded.recording().state is CloudState.STORED
    (file,) = recorded.files(Layer.CLOUD)
    assert (file.path, file.role, file.channels, file.rate_hz) == (CLOUD_KEY, None, 2, 8_000)
    assert (file.duration_ms, file.state) == (5_000, LayerState.CLOSED)
    blobs = recorded.installation.blobs
    assert file.sha256 == blobs.digest(CLOUD_KEY)
    assert blobs.path(CLOUD_KEY).read_bytes() == two_channel_wav(AGENT_SAYS, TECHNICIAN_SAYS)
    assert [e.data["state"] for e in recorded.installation.stored_events()[-2:]] == ["closed", "stored"]
    assert list(blobs.path(CLOUD_KEY).parent.iterdir()) == [blobs.path(CLOUD_KEY)]


def test_stored_recording_is_not_fetched_again(recorded: Recorded) -> None:
    for _ in range(2):
        recorded.downloading().download(SID)
    assert len(recorded.server.seen) == 1
    assert len(recorded.files(Layer.CLOUD)) == 1


def test_crash_between_the_file_and_its_row_is_mended_by_running_again(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("killed here")

    downloading = recorded.downloading()
    with monkeypatch.context() as patched:
        patched.setattr(downloading, "_save", crash)
        with pytest.raises(RuntimeError):
            downloading.download(SID)
    assert recorded.installation.blobs.stat(CLOUD_KEY) is not None
    assert recorded.recording().state is CloudState.COMPLETED
    downloading.download(SID)
    assert recorded.recording().state is CloudState.STORED


def test_recording_that_is_not_ready_has_no_failure(recorded: Recorded) -> None:
    recorded.server.put(MEDIA, Answer(404))
    recorded.engine().work_on(Workflow.DOWNLOAD, SID)
    assert (recorded.recording().state, recorded.recording().failure) == (CloudState.COMPLETED, None)


def test_broken_body_is_resumed_by_the_next_attempt(recorded: Recorded) -> None:
    whole = recorded.server.answers[MEDIA][0]
    recorded.server.put(MEDIA, Answer(body=whole.body, cut_at=20_000), whole)
    with pytest.raises(CarrierError, match="broke"):
        recorded.downloading().download(SID)
    recorded.downloading().download(SID)
    assert recorded.server.seen[1].headers["Range"] == "bytes=20000-"
    assert recorded.installation.blobs.path(CLOUD_KEY).read_bytes() == whole.body


@pytest.mark.parametrize(
    ("status", "attempts", "reason"),
    [
        (401, 1, "the carrier refused our credentials (401): check TWILIO_API_KEY_SID and its secret"),
        (400, 1, "the carrier refused the request (400)"),
        (404, 3, "the carrier answered 404, 3 times"),
    ],
)
def test_recording_that_cannot_be_fetched_is_parked_with_the_reason(
    recorded: Recorded, status: int, attempts: int, reason: str
) -> None:
    recorded.server.put(MEDIA, Answer(status))
    engine = recorded.engine(park_after=3)
    engine.start(Workflow.DOWNLOAD, SID)
    assert len(engine.work_through()) == attempts - 1
    row = recorded.recording()
    assert (row.state, row.failure) == (CloudState.PARKED, reason)
    parked = [e for e in recorded.installation.stored_events() if e.kind is EventKind.RECORDING][-1]
    assert parked.data["state"] == "parked"
    assert recorded.files(Layer.CLOUD) == []


def test_parked_recording_can_be_fetched_later(recorded: Recorded) -> None:
    recorded.downloading().park(SID, "the carrier answered 503, 8 times")
    recorded.downloading().download(SID)
    assert (recorded.recording().state, recorded.recording().failure) == (CloudState.STORED, None)


def test_stored_recording_is_not_parked(recorded: Recorded) -> None:
    recorded.downloading().download(SID)
    recorded.downloading().park(SID, "late")
    assert (recorded.recording().state, recorded.recording().failure) == (CloudState.STORED, None)


def test_without_credentials_no_request_is_made(recorded: Recorded) -> None:
    carrier = CarrierRecordings(CarrierAccess(recorded.server.url, ACCOUNT, "SK1", ""))
    with pytest.raises(CarrierError, match="no carrier credentials are set") as refused:
        recorded.downloading(carrier=carrier).download(SID)
    carrier.close()
    assert not refused.value.retryable and recorded.server.seen == []


def test_recording_that_cannot_be_written_is_parked_after_a_minute(recorded: Recorded) -> None:
    (recorded.installation.blobs.root / "twilio_recordings").write_text("a file where the folder should be")
    engine = recorded.engine()
    engine.start(Workflow.DOWNLOAD, SID)
    assert sum(engine.work_through()) < 65
    row = recorded.recording()
    assert row.state is CloudState.PARKED
    assert row.failure is not None and "twilio_recordings" in row.failure


def test_other_bytes_than_those_kept_replace_nothing(recorded: Recorded) -> None:
    kept = mono_wav(speech(200))
    recorded.installation.blobs.put(CLOUD_KEY, [kept])
    engine = recorded.engine()
    engine.start(Workflow.DOWNLOAD, SID)
    engine.work_through()
    assert recorded.recording().state is CloudState.PARKED
    assert recorded.installation.blobs.path(CLOUD_KEY).read_bytes() == kept


def test_no_work_begins_on_an_erased_call(recorded: Recorded) -> None:
    with pytest.raises(CallErasedError):
        recorded.downloading().rows(SECOND)
    with recorded.installation.database.write() as conn:
        erasures.begin(conn, ErasureRow(recorded.call_id, "ada", NOON, {}))
    engine = recorded.engine()
    engine.work_on(Workflow.DOWNLOAD, SID)
    assert recorded.server.seen == [] and not engine.waiting and engine.ran == ["download"]


# Splitting


def test_channels_go_to_the_roles_of_an_outgoing_call(recorded: Recorded) -> None:
    recorded.downloading().download(SID)
    assert recorded.downloading().split(SID) == 2
    assert np.array_equal(channel(recorded, Role.AGENT), cloud(AGENT_SAYS))
    assert np.array_equal(channel(recorded, Role.TECHNICIAN), cloud(TECHNICIAN_SAYS))
    assert [file.path for file in recorded.files(Layer.CLOUD_CHANNEL)] == [
        f"twilio_recordings/{leg(1)}_agent.wav",
        f"twilio_recordings/{leg(1)}_technician.wav",
    ]


def test_channels_go_to_the_roles_of_an_incoming_call(installation: Installation) -> None:
    """The parent leg, channel 1, is the caller then."""
    with recorded_call(installation, from_="+4989123456") as recorded:
        recorded.downloading().download(SID)
        assert recorded.downloading().split(SID) == 2
        assert np.array_equal(channel(recorded, Role.TECHNICIAN), cloud(TECHNICIAN_SAYS))
        assert np.array_equal(channel(recorded, Role.AGENT), cloud(AGENT_SAYS))


def test_splitting_twice_is_splitting_once(recorded: Recorded) -> None:
    recorded.downloading().download(SID)
    recorded.downloading().split(SID)
    before = recorded.files(Layer.CLOUD_CHANNEL)
    assert recorded.downloading().split(SID) == 2
    assert recorded.files(Layer.CLOUD_CHANNEL) == before


def test_mono_recording_stays_whole(recorded: Recorded) -> None:
    recorded.server.put(MEDIA, Answer(body=mono_wav(AGENT_SAYS)))
    recorded.downloading().download(SID)
    assert recorded.downloading().split(SID) == 1
    assert recorded.files(Layer.CLOUD_CHANNEL) == []


def test_channels_of_a_second_recording_get_longer_names(recorded: Recorded) -> None:
    recorded.downloading().download(SID)
    recorded.downloading().split(SID)
    recorded.server.put(
        MEDIA.replace(SID, SECOND), Answer(body=two_channel_wav(speech(300, seed=7), speech(300, seed=8)))
    )
    recorded.report(CloudState.COMPLETED, SECOND, duration_s=1)
    for _ in range(2):
        recorded.downloading().download(SECOND)
        assert recorded.downloading().split(SECOND) == 2
    names = [file.path for file in recorded.files(Layer.CLOUD_CHANNEL) if file.role is Role.AGENT]
    assert sorted(names) == [
        f"twilio_recordings/{leg(1)}_{SECOND}_agent.wav",
        f"twilio_recordings/{leg(1)}_agent.wav",
    ]


def test_encrypted_recording_is_parked_with_what_to_do(recorded: Recorded) -> None:
    with recorded.installation.database.write() as conn:
        row = recorded.recording()
        recordings.upsert(conn, replace(row, encrypted=True))
    with pytest.raises(CarrierError, match="Voice Recording Encryption") as raised:
        recorded.downloading().download(SID)
    assert not raised.value.retryable and recorded.files(Layer.CLOUD) == []
