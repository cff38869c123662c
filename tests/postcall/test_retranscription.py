from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from callreel.asr.engine import RecognizedWord
from callreel.audio.samples import Samples
from callreel.domain.errors import EngineError
from callreel.domain.ids import CallId
from callreel.domain.retention import DataKind
from callreel.domain.transcript import TranscriptKind
from callreel.domain.work import Workflow
from callreel.postcall.retranscription import Retranscription, Run, no_retry
from callreel.store.calls import expired, layers
from callreel.store.transcripts import live_scores, revisions
from tests.support.fake_engine import FakeEngine, FakeSteps
from tests.support.installation import NOON, Installation
from tests.support.recorded_call import SID, Decoder, Recorded, recorded_call
from tests.support.rows import final_revisions

RUN = Run.at(datetime(2026, 11, 25, 12, 30, tzinfo=UTC), "final")


class _TwoWords(Decoder):
    def __call__(self, samples: Samples) -> list[RecognizedWord]:
        first = super().__call__(samples)[0]
        return [first, replace(first, start_ms=first.end_ms, end_ms=first.end_ms + 1)]


def steps_of(call_id: CallId) -> FakeSteps:
    return FakeSteps(FakeEngine(policy=no_retry), (Workflow.TRANSCRIBE_AGAIN, RUN.key(call_id), 0))


@pytest.fixture
def recorded(recorded: Recorded) -> Recorded:
    """With its recording fetched, split and transcribed once."""
    recorded.downloading().download(SID)
    recorded.downloading().split(SID)
    recorded.transcribing().from_recording(recorded.call_id)
    return recorded


def test_new_transcription_is_a_new_revision(recorded: Recorded) -> None:
    again = Retranscription(lambda spec: recorded.transcribing())
    steps = steps_of(recorded.call_id)
    for _ in range(2):  # a workflow that was cut off runs again
        assert again.transcribe(steps, RUN.key(recorded.call_id)) == ""
    assert steps.engine.ran == ["transcribe"]
    found = recorded.transcript(TranscriptKind.FINAL)
    assert found is not None
    assert (found.revision, found.run, found.engine) == (2, "20261125T123000Z", "final")
    assert found.audio_ms > 3000
    with recorded.installation.database.read() as conn:
        kept = [run for run, _ in final_revisions(conn, recorded.call_id)]
        shown = revisions.shown(conn, recorded.call_id)
    assert kept == ["", "20261125T123000Z"]
    assert shown is not None and shown.machine.revision == 2


def test_live_text_is_scored_against_the_new_transcription(recorded: Recorded) -> None:
    def words() -> int | None:
        with recorded.installation.database.read() as conn:
            score = live_scores.of_call(conn, recorded.call_id)
        return score.words if score else None

    recorded.comparing().compare(recorded.call_id)
    once = words()
    assert once is not None and once > 0
    recorded.transcribing(_TwoWords()).from_audio(recorded.call_id, "run")
    assert words() == 2 * once


def test_a_step_that_is_done_twice_makes_one_revision(recorded: Recorded) -> None:
    for _ in range(2):
        recorded.transcribing().from_audio(recorded.call_id, "run")
    found = recorded.transcript(TranscriptKind.FINAL)
    assert found is not None and found.revision == 2


def test_call_without_channels_uses_its_live_layers(installation: Installation) -> None:
    with recorded_call(installation) as made:
        decoder = Decoder()
        assert made.transcribing(decoder).from_audio(made.call_id, "run") > 0
        assert decoder.asked > 0


def test_failed_call_is_reported_and_the_run_continues(recorded: Recorded) -> None:
    def broken(spec: str) -> object:
        raise EngineError("no such model")

    call_id, other = recorded.call_id, CallId("ffffffffffff")
    broken_engine = Retranscription(broken)  # type: ignore[arg-type]
    assert broken_engine.transcribe(steps_of(call_id), RUN.key(call_id)) == "no such model"
    good_engine = Retranscription(lambda spec: recorded.transcribing())
    reported = good_engine.transcribe(steps_of(other), RUN.key(other))
    assert "neither channels nor live layers" in reported


@pytest.mark.parametrize("meanwhile", [False, True])
def test_text_that_a_policy_deleted_does_not_come_back(recorded: Recorded, *, meanwhile: bool) -> None:
    database = recorded.installation.database

    def expire() -> None:
        with database.write() as conn:
            expired.order(conn, recorded.call_id, DataKind.TEXT, "text=30", NOON, {})
            expired.delete_text(conn, recorded.call_id)

    class Expiring(Decoder):
        def __call__(self, samples: Samples) -> Sequence[RecognizedWord]:
            if meanwhile and not self.asked:
                expire()
            return super().__call__(samples)

    decoder = Expiring()
    if not meanwhile:
        expire()
    again = Retranscription(lambda spec: recorded.transcribing(decoder))
    reported = again.transcribe(steps_of(recorded.call_id), RUN.key(recorded.call_id))
    assert "a retention policy deleted the text" in reported
    assert (decoder.asked > 0, recorded.transcript(TranscriptKind.FINAL)) == (meanwhile, None)


def test_calls_are_chosen_by_when_they_began(recorded: Recorded) -> None:
    with recorded.installation.database.read() as conn:
        everything = layers.calls_with_audio(conn)
        later = layers.calls_with_audio(conn, since=datetime(2100, 1, 1, tzinfo=UTC))
        earlier = layers.calls_with_audio(conn, until=datetime(2000, 1, 1, tzinfo=UTC))
    assert (everything, later, earlier) == ([recorded.call_id], [], [])
