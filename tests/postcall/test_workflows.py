import pytest

from callreel.asr.engine import RecognizedWord
from callreel.audio.samples import Samples
from callreel.domain.call import CallState, Role
from callreel.domain.errors import EngineError
from callreel.domain.events import EventKind
from callreel.domain.ids import RecordingSid
from callreel.domain.measures import CallMeasures
from callreel.domain.recording import CloudState, Layer
from callreel.domain.transcript import TranscriptKind
from callreel.domain.verdict import Verdict
from callreel.domain.work import Workflow
from callreel.store.calls import measures
from tests.support.installation import Installation
from tests.support.recorded_call import (
    AGENT_SAYS,
    LATE_MS,
    MEDIA,
    SID,
    Decoder,
    Recorded,
    mono_wav,
    recorded_call,
)
from tests.support.rest_server import Answer


def published(recorded: Recorded) -> list[tuple[object, object]]:
    events = recorded.installation.stored_events()
    return [(e.data["stage"], e.data["state"]) for e in events if e.kind is EventKind.STAGE]


def both(*names: str) -> list[tuple[object, object]]:
    return [(name, state) for name in names for state in ("running", "done")]


def final_roles(recorded: Recorded) -> list[Role]:
    found = recorded.transcript(TranscriptKind.FINAL)
    assert found is not None
    return [turn.role for turn in found.turns]


def measures_of(recorded: Recorded) -> CallMeasures:
    with recorded.installation.database.read() as conn:
        found = measures.of_call(conn, recorded.call_id)
    assert found is not None
    return found


def test_recording_goes_through_all_stages(recorded: Recorded) -> None:
    recorded.engine().work_on(Workflow.DOWNLOAD, SID)
    assert published(recorded) == both("download", "split", "transcribe", "compare", "measure")
    assert recorded.recording().state is CloudState.STORED
    assert len(recorded.files(Layer.CLOUD_CHANNEL)) == 2
    assert final_roles(recorded) == [Role.AGENT, Role.TECHNICIAN]
    assert (recorded.call.state, recorded.call.verdict) == (CallState.CLOSED, Verdict.VERIFIED)
    assert recorded.recording().failure is None
    measured = measures_of(recorded)
    # The tracks of `tests/support/recorded_call.py`, from the start of the recording, in windows of 32 ms.
    assert measured.agent.first_word_ms == pytest.approx(LATE_MS + 400, abs=32)
    assert (measured.agent.talk_ms, measured.technician.talk_ms) == pytest.approx((1_500, 1_300), abs=40)
    assert measured.technician.response_ms == pytest.approx(500, abs=40)
    assert (measured.agent.words, measured.technician.words) == (1, 1)
    assert (measured.agent.turns, measured.technician.turns, measured.interruptions) == (1, 1, ())
    assert [span.end_ms for span in measured.silences] == [measured.end_ms]


STEPS = ("download", "split", "transcribe", "compare", "measure")


@pytest.mark.parametrize("cut", STEPS)
def test_step_that_was_cut_off_after_its_effect_may_run_twice(installation: Installation, cut: str) -> None:
    with recorded_call(installation) as recorded:
        engine = recorded.engine()
        engine.die_in = cut
        with pytest.raises(KeyboardInterrupt):
            engine.work_on(Workflow.DOWNLOAD, SID)
        engine.work()
        assert [engine.ran.count(name) - (name == cut) for name in STEPS] == [1] * len(STEPS)
        assert len(recorded.files(Layer.CLOUD)) == 1 and len(recorded.files(Layer.CLOUD_CHANNEL)) == 2
        found = recorded.transcript(TranscriptKind.FINAL)
        assert found is not None and found.revision == 1
        assert recorded.call.verdict is Verdict.VERIFIED


def test_whole_workflow_run_again_changes_nothing(recorded: Recorded) -> None:
    recorded.engine().work_on(Workflow.DOWNLOAD, SID)
    before = (recorded.files(Layer.CLOUD), recorded.files(Layer.CLOUD_CHANNEL), recorded.call)
    recorded.engine().work_on(Workflow.DOWNLOAD, SID)
    assert (recorded.files(Layer.CLOUD), recorded.files(Layer.CLOUD_CHANNEL), recorded.call) == before


def test_recording_that_is_not_ready_is_tried_again(recorded: Recorded) -> None:
    whole = recorded.server.answers[MEDIA]
    recorded.server.put(MEDIA, Answer(404), Answer(503), Answer(429, headers={"Retry-After": "9"}), *whole)
    engine = recorded.engine()
    engine.start(Workflow.DOWNLOAD, SID)
    assert engine.work_through() == [1.0, 2.0, 9.0]
    assert engine.ran.count("download") == 4
    assert recorded.call.verdict is Verdict.VERIFIED


def test_refused_credentials_park_the_recording_and_the_call_gets_its_verdict(recorded: Recorded) -> None:
    recorded.server.put(MEDIA, Answer(401))
    engine = recorded.engine()
    engine.work_on(Workflow.DOWNLOAD, SID)
    reason = "the carrier refused our credentials (401): check TWILIO_API_KEY_SID and its secret"
    assert (recorded.recording().state, recorded.recording().failure) == (CloudState.PARKED, reason)
    assert published(recorded)[:2] == [("download", "running"), ("download", "parked")]
    assert published(recorded)[2:] == both("transcribe", "compare", "measure")
    parked = [event for event in recorded.installation.stored_events() if event.data.get("state") == "parked"]
    assert reason in [event.data.get("reason") for event in parked]
    live = recorded.transcript(TranscriptKind.LIVE)
    final = recorded.transcript(TranscriptKind.FINAL)
    assert live is not None and final is not None and final.turns == live.turns
    assert [reason.code for reason in recorded.call.reasons] == ["cloud_parked"]
    [item] = engine.unfinished(SID)
    assert (item.workflow, item.step, item.failure) == (Workflow.DOWNLOAD, "download", reason)


def test_parked_recording_that_runs_again_loses_its_failure(recorded: Recorded) -> None:
    whole = recorded.server.answers[MEDIA]
    recorded.server.put(MEDIA, Answer(401))
    engine = recorded.engine()
    engine.work_on(Workflow.DOWNLOAD, SID)
    recorded.server.put(MEDIA, *whole)
    assert engine.run_now(Workflow.DOWNLOAD, SID) == 1
    engine.work()
    assert (recorded.recording().state, recorded.recording().failure) == (CloudState.STORED, None)
    assert engine.unfinished() == []
    assert recorded.call.verdict is Verdict.VERIFIED


def test_engine_that_fails_parks_its_step_and_the_call_is_judged(recorded: Recorded) -> None:
    class Grumbling(Decoder):
        def __call__(self, samples: Samples) -> list[RecognizedWord]:
            raise EngineError("no model")

    engine = recorded.engine(Grumbling())
    engine.start(Workflow.DOWNLOAD, SID)
    assert engine.work_through() == [1.0, 2.0, 4.0, 8.0, 16.0]
    [item] = engine.unfinished()
    assert (item.step, item.failure) == ("transcribe", "EngineError: no model, 6 times")
    assert published(recorded)[-6:] == [
        ("transcribe", "running"),
        ("transcribe", "parked"),
        *both("compare", "measure"),
    ]
    assert recorded.call.verdict is Verdict.VERIFIED
    assert recorded.transcript(TranscriptKind.FINAL) is None


def test_mono_recording_is_not_taken_apart_and_the_live_text_stands(recorded: Recorded) -> None:
    recorded.server.put(MEDIA, Answer(body=mono_wav(AGENT_SAYS)))
    decoder = Decoder()
    recorded.engine(decoder).work_on(Workflow.DOWNLOAD, SID)
    assert decoder.asked == 0 and final_roles(recorded) == [Role.AGENT, Role.TECHNICIAN]
    assert [reason.code for reason in recorded.call.reasons] == ["mono_recording"]


@pytest.mark.parametrize("state", [CloudState.COMPLETED, CloudState.FAILED])
def test_second_recording_without_text_never_replaces_the_text_of_the_first(
    recorded: Recorded, state: CloudState
) -> None:
    other = RecordingSid("RE" + "0" * 32)
    recorded.engine().work_on(Workflow.DOWNLOAD, SID)
    before = recorded.transcript(TranscriptKind.FINAL)
    recorded.server.put(MEDIA.replace(SID, other), Answer(body=mono_wav(AGENT_SAYS)))
    recorded.report(state, other)
    completed = state is CloudState.COMPLETED
    recorded.engine().work_on(Workflow.DOWNLOAD if completed else Workflow.NO_RECORDING, other)
    assert before is not None and recorded.transcript(TranscriptKind.FINAL) == before
    assert recorded.call.verdict is Verdict.VERIFIED, recorded.call.reasons


@pytest.mark.parametrize("state", [CloudState.ABSENT, CloudState.FAILED, CloudState.MISSING])
def test_without_a_recording_the_live_side_gives_transcript_and_verdict(
    installation: Installation, state: CloudState
) -> None:
    with recorded_call(installation, state=CloudState.EXPECTED) as recorded:
        recorded.report(state)
        recorded.engine().work_on(Workflow.NO_RECORDING, SID)
        assert published(recorded) == both("transcribe", "compare", "measure")
        assert recorded.server.seen == []
        assert final_roles(recorded) == [Role.AGENT, Role.TECHNICIAN]
        assert measures_of(recorded).agent.first_word_ms == pytest.approx(400, abs=32)  # of the live layers
        assert recorded.call.state is CallState.CLOSED and recorded.call.verdict is not None
