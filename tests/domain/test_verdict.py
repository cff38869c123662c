"""The table of verdicts: the measured facts, and the verdict and reasons of the call."""

from dataclasses import replace

import pytest

from callreel.domain.call import Role
from callreel.domain.recording import CloudState
from callreel.domain.verdict import RECORDING_OFF, Comparison, Facts, Limits, Verdict, judge

AGENT = Comparison(
    role=Role.AGENT,
    live_ms=59_500,
    cloud_ms=60_000,
    offset_ms=417.125,
    drift_ppm=0.0,
    correlation=0.999,
    unmatched_ms=0,
)
TECHNICIAN = replace(AGENT, role=Role.TECHNICIAN)
BOTH = (AGENT, TECHNICIAN)
FACTS = Facts(CloudState.STORED, callback_duration_s=60)
SILENT = {"correlation": None, "silent": True, "offset_ms": 0.0}

VERIFIED, EXPLAINED, SUSPECT = Verdict.VERIFIED, Verdict.EXPLAINED, Verdict.SUSPECT


def both(**changes: object) -> tuple[Comparison, ...]:
    return tuple(replace(comparison, **changes) for comparison in BOTH)  # type: ignore[arg-type]


def agent(**changes: object) -> tuple[Comparison, ...]:
    return replace(AGENT, **changes), TECHNICIAN  # type: ignore[arg-type]


def facts(**changes: object) -> Facts:
    return replace(FACTS, **changes)  # type: ignore[arg-type]


AGREE = {
    "two captures agree": (BOTH, FACTS),
    "small differences": (
        agent(
            correlation=0.95,
            drift_ppm=-50.0,
            unmatched_ms=60,
            offset_ms=430.0,
            live_only_ms=500,
            jump_ms=20.0,
        ),
        FACTS,
    ),
    "the stream begins a little later, amid sound": (both(unmatched_ms=400, missing_start_ms=400), FACTS),
    "both begin at once": (both(offset_ms=0.0), FACTS),
    "the callback rounds": (BOTH, facts(callback_duration_s=61)),
    "no callback, found on the list": (BOTH, facts(callback_duration_s=None)),
    "three frames lost": (BOTH, facts(frames_lost_ms={Role.AGENT: 60})),
    "one party never spoke": (agent(**SILENT), FACTS),
    "a socket that died after the call": (BOTH, facts(stream_cut=True)),
    "paused in a silence": (BOTH, facts(paused=True)),
    "all recordings were paused": (BOTH, facts(pauses=2, pause_edges_ms=1_000)),
}

EXPLAINED_BY = {
    "late stream": (
        both(offset_ms=4_000.0, missing_start_ms=3_000, unmatched_ms=3_000),
        FACTS,
        {"late_stream"},
    ),
    "frames lost": (
        agent(unmatched_ms=180, in_gaps_ms=180),
        facts(frames_lost_ms={Role.AGENT: 200}),
        {"frames_lost"},
    ),
    "frames lost in silence": (BOTH, facts(frames_lost_ms={Role.TECHNICIAN: 200}), {"frames_lost"}),
    "gaps known to the comparison alone": (agent(unmatched_ms=180, in_gaps_ms=180), FACTS, {"frames_lost"}),
    "stream cut": (
        both(live_ms=30_000, unmatched_ms=9_000, missing_end_ms=9_000),
        facts(stream_cut=True),
        {"stream_cut"},
    ),
    "stream cut, silence since": (both(live_ms=30_000), facts(stream_cut=True), {"stream_cut"}),
    "stream interrupted": (
        both(unmatched_ms=1_500, in_gaps_ms=1_500, jump_ms=80.0),
        facts(streams=2, between_streams_ms=2_000),
        {"stream_interrupted"},
    ),
    "cut, then a second stream": (
        both(unmatched_ms=1_500),
        facts(streams=2, between_streams_ms=1_500, stream_cut=True),
        {"stream_interrupted"},
    ),
    "paused": (both(live_only_ms=4_000), facts(paused=True), {"paused"}),
    "all recordings were paused, one a little later": (
        both(live_only_ms=900, unmatched_ms=200),
        facts(pauses=1, pause_edges_ms=500),
        {"paused"},
    ),
    "paused and shortened": (both(live_only_ms=300, jump_ms=300.0), facts(paused=True), {"paused"}),
    "one channel": ((), facts(cloud_channels=1), {"mono_recording"}),
    "one channel, compared all the same": (
        both(correlation=0.5),
        facts(cloud_channels=1),
        {"mono_recording"},
    ),
    "one track": ((AGENT,), facts(tracks=1), {"single_track"}),
    "both silent": (both(**SILENT), FACTS, {"both_silent"}),
    "too short for the carrier": (
        (),
        Facts(CloudState.ABSENT, "16101", live_speech_ms=900),
        {"cloud_absent"},
    ),
    "silent for the carrier": ((), Facts(CloudState.ABSENT, "16102"), {"cloud_absent"}),
    "absent for another reason": (
        (),
        Facts(CloudState.ABSENT, "16199", live_speech_ms=9_000),
        {"cloud_absent"},
    ),
    "failed": ((), Facts(CloudState.FAILED, "13222", live_speech_ms=9_000), {"cloud_failed"}),
    "no recording was asked for": (
        (),
        Facts(CloudState.MISSING, not_recorded=RECORDING_OFF, live_speech_ms=9_000),
        {"not_recorded"},
    ),
    "several causes": (
        both(offset_ms=4_000.0, unmatched_ms=500, missing_end_ms=500),
        facts(stream_cut=True, frames_lost_ms={Role.AGENT: 100, Role.TECHNICIAN: 80}),
        {"late_stream", "stream_cut", "frames_lost"},
    ),
}

SUSPECT_FOR = {
    "another voice": (
        agent(correlation=0.04, unmatched_ms=20_000, drift_ppm=300.0),
        FACTS,
        {"low_correlation"},
    ),
    "drift": (agent(drift_ppm=-51.0), FACTS, {"drift"}),
    "sound lost without a cause": (agent(unmatched_ms=80), FACTS, {"unmatched_sound"}),
    "more lost than frames": (
        agent(unmatched_ms=400),
        facts(frames_lost_ms={Role.AGENT: 200}),
        {"unmatched_sound", "frames_lost"},
    ),
    "another party's frames": (
        agent(unmatched_ms=400),
        facts(frames_lost_ms={Role.TECHNICIAN: 400}),
        {"unmatched_sound", "frames_lost"},
    ),
    "the end is missing without a cut": (
        both(unmatched_ms=900, missing_end_ms=900),
        FACTS,
        {"unmatched_sound"},
    ),
    "no sound in the live layer": (agent(correlation=None, unmatched_ms=9_000), FACTS, {"unmatched_sound"}),
    "no sound in the cloud": (agent(correlation=None, live_only_ms=100), FACTS, {"live_only_sound"}),
    "the cloud lost sound": (agent(live_only_ms=520), FACTS, {"live_only_sound"}),
    "a pause does not explain so much": (
        agent(live_only_ms=1_020, unmatched_ms=580),
        facts(pauses=1, pause_edges_ms=500),
        {"live_only_sound", "unmatched_sound"},
    ),
    "the callback says otherwise": (BOTH, facts(callback_duration_s=62), {"duration_differs"}),
    "the parties begin apart": (agent(offset_ms=440.0), FACTS, {"offset_differs"}),
    "live before the cloud": (both(offset_ms=-300.0), FACTS, {"offset_differs"}),
    "a jump without a cause": (agent(jump_ms=21.0), FACTS, {"offset_differs"}),
    "one party not compared": ((AGENT,), FACTS, {"not_compared"}),
    "no stream": ((), facts(streams=0), {"live_missing"}),
    "no word": ((), Facts(CloudState.MISSING), {"cloud_missing"}),
    "judged before any word": ((), Facts(CloudState.IN_PROGRESS), {"cloud_missing"}),
    "not to be fetched": ((), Facts(CloudState.PARKED), {"cloud_parked"}),
    "silent, despite live speech": (
        (),
        Facts(CloudState.ABSENT, "16102", live_speech_ms=2_100),
        {"absent_despite_speech"},
    ),
    "too short, despite live speech": (
        (),
        Facts(CloudState.ABSENT, "16101", live_speech_ms=2_100),
        {"absent_despite_speech"},
    ),
    "absent without a reason, despite live speech": (
        (),
        Facts(CloudState.ABSENT, live_speech_ms=2_100),
        {"absent_despite_speech"},
    ),
    "suspect keeps explanations": (
        agent(drift_ppm=80.0),
        facts(streams=2, between_streams_ms=300),
        {"drift", "stream_interrupted"},
    ),
}


@pytest.mark.parametrize(("comparisons", "known"), AGREE.values(), ids=AGREE)
def test_verified_has_no_reasons(comparisons: tuple[Comparison, ...], known: Facts) -> None:
    judgement = judge(comparisons, known)
    assert (judgement.verdict, judgement.reasons) == (VERIFIED, ())


@pytest.mark.parametrize(("comparisons", "known", "codes"), EXPLAINED_BY.values(), ids=EXPLAINED_BY)
def test_explained_verdict_has_its_reasons(
    comparisons: tuple[Comparison, ...], known: Facts, codes: set[str]
) -> None:
    judgement = judge(comparisons, known)
    assert {reason.code for reason in judgement.reasons} == codes
    assert judgement.verdict is EXPLAINED


@pytest.mark.parametrize(("comparisons", "known", "codes"), SUSPECT_FOR.values(), ids=SUSPECT_FOR)
def test_suspect_verdict_has_its_reasons(
    comparisons: tuple[Comparison, ...], known: Facts, codes: set[str]
) -> None:
    judgement = judge(comparisons, known)
    assert {reason.code for reason in judgement.reasons} == codes
    assert judgement.verdict is SUSPECT


@pytest.mark.parametrize(
    ("comparisons", "known", "detail"),
    [
        (agent(correlation=0.041), FACTS, "the agent's recordings correlate only 0.04"),
        (BOTH, facts(callback_duration_s=75), "the carrier reported 75 s, but the file has 60.0 s"),
        (
            (),
            Facts(CloudState.ABSENT, "16101", live_speech_ms=12_340),
            "the carrier has no recording: it was too short (16101); the live layers contain 12.3 s of speech",
        ),
        (
            both(offset_ms=4_000.4),
            facts(stream_started_late_ms=3_900),
            "the stream started 4000 ms after the recording (3900 ms by the clock)",
        ),
        (
            BOTH,
            facts(frames_lost_ms={Role.AGENT: 240}, frames_late=3),
            "240 ms of the agent were not received, according to the timestamps; 3 frames of the call arrived too late",
        ),
    ],
)
def test_details_hold_the_figures(comparisons: tuple[Comparison, ...], known: Facts, detail: str) -> None:
    assert judge(comparisons, known).reasons[0].detail == detail


def test_suspect_reasons_come_first() -> None:
    judgement = judge(agent(drift_ppm=80.0), facts(streams=2))
    assert [reason.code for reason in judgement.reasons] == ["drift", "stream_interrupted"]


def test_limits_are_arguments() -> None:
    lenient = Limits(drift_ppm=100.0)
    assert judge(agent(drift_ppm=80.0), FACTS, lenient).verdict is VERIFIED
