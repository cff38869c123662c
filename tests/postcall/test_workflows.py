from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar, cast

import pytest

from callreel.asr.engine import RecognizedWord
from callreel.domain.call import CallState, Role
from callreel.domain.errors import EngineError
from callreel.domain.events import EventKind
from callreel.domain.recording import CloudState, Layer
from callreel.domain.transcript import TranscriptKind
from callreel.domain.verdict import Verdict
from callreel.postcall.dispatcher import (
    FETCH_WORKFLOW,
    JUDGE_WORKFLOW,
    NONE_WORKFLOW,
    TRANSCRIBE_WORKFLOW,
)
from callreel.postcall.workflows import LIVE_POLL_S, LIVE_POLLS, Stages
from tests.support.installation import Installation, Samples
from tests.support.recorded_call import MEDIA, SID, Decoder, Recorded, recorded_call
from tests.support.rest_server import Answer

T = TypeVar("T")


@dataclass(slots=True)
class Remembered:
    """Steps as the durable engine gives them: each is done once, its end remembered. `die_in` cuts one off."""

    within: str = ""
    """The workflow that runs."""
    results: dict[tuple[str, str], object] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    slept_s: list[float] = field(default_factory=list)
    started: list[tuple[str, str]] = field(default_factory=list)
    die_in: str | None = None

    def run(self, name: str, work: Callable[[], T]) -> T:
        step = (self.within, name)
        if step not in self.results:
            self.ran.append(name)
            self.results[step] = self._outcome(work)
            if name == self.die_in:
                del self.results[step]
                self.die_in = None
                raise KeyboardInterrupt
        known = self.results[step]
        if isinstance(known, Exception):
            raise known
        return cast(T, known)

    def _outcome(self, work: Callable[[], object]) -> object:
        try:
            return work()
        except Exception as error:
            return error

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)

    def then(self, name: str, key: str) -> None:
        self.started.append((name, key))


@pytest.fixture
def recorded(installation: Installation) -> Iterator[Recorded]:
    with recorded_call(installation) as made:
        yield made


def stages(recorded: Recorded, decode: Decoder | None = None, *, max_attempts: int = 12) -> Stages:
    installation = recorded.installation
    return Stages(
        installation.database,
        installation.publisher,
        recorded.fetching(max_attempts=max_attempts),
        recorded.transcribing(decode),
        recorded.judging(),
    )


def run(made: Stages, steps: Remembered, key: str) -> None:
    """The workflows one after the other, as each names the next."""
    bodies = {
        FETCH_WORKFLOW: made.fetch, TRANSCRIBE_WORKFLOW: made.transcribe, JUDGE_WORKFLOW: made.judge,
        NONE_WORKFLOW: made.none,
    }  # fmt: skip
    steps.started = [(FETCH_WORKFLOW, key)]
    while steps.started:
        name, key = steps.started.pop(0)
        steps.within = name
        bodies[name](steps, key)


def told(recorded: Recorded) -> list[tuple[object, object]]:
    events = recorded.installation.stored_events()
    return [(e.data["stage"], e.data["state"]) for e in events if e.kind is EventKind.STAGE]


def both(*names: str) -> list[tuple[object, object]]:
    return [(name, state) for name in names for state in ("running", "done")]


def final_roles(recorded: Recorded) -> list[Role]:
    found = recorded.transcript(TranscriptKind.FINAL)
    assert found is not None
    return [turn.role for turn in found.turns]


def test_recording_goes_through_all_stages(recorded: Recorded) -> None:
    run(stages(recorded), Remembered(), SID)
    assert told(recorded) == both("fetch", "split", "transcribe", "judge")
    assert recorded.recording().state is CloudState.STORED
    assert len(recorded.files(Layer.CLOUD_CHANNEL)) == 2
    assert final_roles(recorded) == [Role.AGENT, Role.TECHNICIAN]
    assert (recorded.call.state, recorded.call.verdict) == (CallState.CLOSED, Verdict.VERIFIED)
    row = recorded.recording()
    assert (row.stage, row.stage_error) == ("judge", None)


def test_what_an_earlier_version_began_in_one_workflow_is_finished_so(recorded: Recorded) -> None:
    stages(recorded).whole(Remembered(), SID)
    assert told(recorded) == both("fetch", "split", "transcribe", "judge")
    assert final_roles(recorded) == [Role.AGENT, Role.TECHNICIAN]
    assert (recorded.call.state, recorded.call.verdict) == (CallState.CLOSED, Verdict.VERIFIED)


STEPS = ("call", "fetch 1", "split", "transcribe", "judge")


@pytest.mark.parametrize("cut", STEPS)
def test_step_that_was_cut_off_after_its_effect_may_run_twice(installation: Installation, cut: str) -> None:
    with recorded_call(installation) as recorded:
        steps = Remembered(die_in=cut)
        with pytest.raises(KeyboardInterrupt):
            run(stages(recorded), steps, SID)
        run(stages(recorded), steps, SID)
        once = {"call": 3}
        assert [steps.ran.count(name) - (name == cut) for name in STEPS] == [
            once.get(name, 1) for name in STEPS
        ]
        assert len(recorded.files(Layer.CLOUD)) == 1 and len(recorded.files(Layer.CLOUD_CHANNEL)) == 2
        found = recorded.transcript(TranscriptKind.FINAL)
        assert found is not None and found.revision == 1
        assert recorded.call.verdict is Verdict.VERIFIED


def test_whole_workflow_run_again_changes_nothing(recorded: Recorded) -> None:
    run(stages(recorded), Remembered(), SID)
    before = (recorded.files(Layer.CLOUD), recorded.files(Layer.CLOUD_CHANNEL), recorded.call)
    run(stages(recorded), Remembered(), SID)
    assert (recorded.files(Layer.CLOUD), recorded.files(Layer.CLOUD_CHANNEL), recorded.call) == before


def test_recording_that_is_not_ready_is_waited_for(recorded: Recorded) -> None:
    whole = recorded.server.answers[MEDIA]
    recorded.server.put(MEDIA, Answer(404), Answer(503), *whole)
    steps = Remembered()
    run(stages(recorded), steps, SID)
    assert [name for name in steps.ran if name.startswith("fetch")] == ["fetch 1", "fetch 2", "fetch 3"]
    assert [0.5 <= waited <= 2.0 for waited in steps.slept_s] == [True, True]
    assert recorded.call.verdict is Verdict.VERIFIED


def test_refused_credentials_park_the_recording_and_the_call_is_judged_by_what_there_is(
    recorded: Recorded,
) -> None:
    recorded.server.put(MEDIA, Answer(401))
    run(stages(recorded), Remembered(), SID)
    row = recorded.recording()
    assert row.state is CloudState.PARKED
    why = "the carrier refused our credentials (401): check TWILIO_API_KEY_SID and its secret"
    assert (row.stage, row.stage_error) == ("fetch", why), "later stages leave the reason to be seen"
    assert told(recorded)[:2] == [("fetch", "running"), ("fetch", "parked")]
    assert told(recorded)[2:] == both("transcribe", "judge")
    parked = [event for event in recorded.installation.stored_events() if event.data.get("state") == "parked"]
    assert parked[-1].data["why"] == why
    live = recorded.transcript(TranscriptKind.LIVE)
    final = recorded.transcript(TranscriptKind.FINAL)
    assert live is not None and final is not None and final.turns == live.turns
    assert [reason.code for reason in recorded.call.reasons] == ["cloud_parked"]


def test_parked_recording_that_runs_again_loses_its_reason(recorded: Recorded) -> None:
    whole = recorded.server.answers[MEDIA]
    recorded.server.put(MEDIA, Answer(401))
    run(stages(recorded), Remembered(), SID)
    recorded.server.put(MEDIA, *whole)
    run(stages(recorded), Remembered(), SID)
    row = recorded.recording()
    assert (row.state, row.stage, row.stage_error) == (CloudState.STORED, "judge", None)
    assert recorded.call.verdict is Verdict.VERIFIED


def test_engine_that_fails_parks_its_stage_and_the_call_is_judged(recorded: Recorded) -> None:
    class Grumbling(Decoder):
        def __call__(self, samples: Samples) -> list[RecognizedWord]:
            raise EngineError("no model")

    run(stages(recorded, Grumbling()), Remembered(), SID)
    row = recorded.recording()
    assert (row.stage, row.stage_error) == ("transcribe", "EngineError: no model")
    assert told(recorded)[-4:] == [
        ("transcribe", "running"),
        ("transcribe", "parked"),
        *both("judge"),
    ]
    assert recorded.call.verdict is Verdict.VERIFIED
    assert recorded.transcript(TranscriptKind.FINAL) is None


def test_mono_recording_is_not_taken_apart_and_the_live_text_stands(recorded: Recorded) -> None:
    from tests.support.recorded_call import AGENT_SAYS, mono_wav

    recorded.server.put(MEDIA, Answer(body=mono_wav(AGENT_SAYS)))
    decoder = Decoder()
    run(stages(recorded, decoder), Remembered(), SID)
    assert decoder.asked == 0 and final_roles(recorded) == [Role.AGENT, Role.TECHNICIAN]
    assert [reason.code for reason in recorded.call.reasons] == ["mono_recording"]


@pytest.mark.parametrize("state", [CloudState.ABSENT, CloudState.FAILED, CloudState.MISSING])
def test_without_a_recording_the_live_side_gives_transcript_and_verdict(
    installation: Installation, state: CloudState
) -> None:
    with recorded_call(installation, state=CloudState.EXPECTED) as recorded:
        recorded.hear(state)
        stages(recorded).none(Remembered(), SID)
        assert told(recorded) == both("transcribe", "judge")
        assert recorded.server.seen == []
        assert final_roles(recorded) == [Role.AGENT, Role.TECHNICIAN]
        assert recorded.call.state is CallState.CLOSED and recorded.call.verdict is not None


def test_judging_waits_for_the_live_side_and_gives_up_after_a_quarter_of_an_hour(recorded: Recorded) -> None:
    with recorded.installation.database.write() as conn:
        conn.exec_driver_sql("DELETE FROM transcripts")
    steps = Remembered()
    run(stages(recorded), steps, SID)
    assert len(steps.slept_s) == LIVE_POLLS and tuple(steps.slept_s[:5]) == LIVE_POLL_S
    assert 900 <= sum(steps.slept_s) <= 1_000
    assert recorded.call.verdict is Verdict.VERIFIED
