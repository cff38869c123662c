"""The verdict on a call, from comparing its layers.

`audio/align` measures a `Comparison` for each role; `judge` turns comparisons and known facts into a verdict.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from callreel.domain.call import Role
from callreel.domain.recording import CloudState

ALIGNED: Final = 0.8
"""At this correlation or above, two captures contain the same sound, so their offset is meaningful."""


class Verdict(StrEnum):
    """`VERIFIED`: two independent captures agree. `EXPLAINED`: they differ for a known cause. `SUSPECT`: for none.

    `IMPORTED`: the recording was made before Callreel, so there is no second capture to compare it with.
    """

    VERIFIED = "verified"
    EXPLAINED = "explained"
    SUSPECT = "suspect"
    IMPORTED = "imported"


class ChannelFault(StrEnum):
    """Why a recording's channels cannot be attributed to the parties. The values are reason codes."""

    SWAPPED = "channels_swapped"
    EQUAL = "channels_equal"
    UNRELATED = "unrelated_recording"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a verdict is what it is. `code` is stable and for programs, `detail` is for people."""

    code: str
    detail: str
    role: Role | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The measured differences between layer 1 of one role and that role's channel of layer 3.

    `offset_ms`: the position of the live layer's first sample in the cloud recording (positive: the stream began later).
    `drift_ppm`: by how much the live clock runs slower (positive) or faster than the cloud one, parts per million.
    `correlation`: 0 to 1, of the samples where both have sound, after alignment. None if they never do.
    `unmatched_ms`: how much of the sound in the cloud recording has no counterpart in the live layer at its place.
    `silent`: whether both are silent throughout, so that there is nothing to compare.

    Of `unmatched_ms`: `missing_start_ms` lies before the live layer's first sample, `missing_end_ms` after its last,
    `in_gaps_ms` in its known gaps; the rest has no known cause.
    `live_only_ms`: how much of the sound in the live layer has no counterpart in the cloud recording.
    `jump_ms`: the largest sudden change of the offset within the call, 0 without one.
    """

    role: Role
    live_ms: int
    cloud_ms: int
    offset_ms: float
    drift_ppm: float
    correlation: float | None
    unmatched_ms: int
    silent: bool = False
    missing_start_ms: int = 0
    missing_end_ms: int = 0
    in_gaps_ms: int = 0
    live_only_ms: int = 0
    jump_ms: float = 0.0

    @property
    def aligned(self) -> bool:
        return self.correlation is not None and self.correlation >= ALIGNED


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about a call from outside its samples: callbacks, rows and settings."""

    cloud_state: CloudState
    cloud_error_code: str | None = None
    """The carrier's code for a recording that is absent or failed, such as 16101 (too short) or 16102 (silent)."""
    cloud_channels: int = 2
    callback_duration_s: int | None = None
    """The duration in the carrier's callback, in whole seconds."""
    streams: int = 1
    """How many media streams the call had; 0 means no live layer."""
    stream_cut: bool = False
    """Whether a stream's socket closed without a stop message."""
    stream_started_late_ms: int | None = None
    """The stream's start relative to the recording's by the wall clock, if known. Only for the reason's detail."""
    frames_lost_ms: Mapping[Role, int] = field(default_factory=dict)
    """Gaps by timestamp within the streams."""
    frames_late: int = 0
    between_streams_ms: int = 0
    """Time between the end of one stream and the start of the next."""
    tracks: int = 2
    """Requested tracks of the stream or the recording, whichever are fewer."""
    not_recorded: Reason | None = None
    """Why no recording was requested from the carrier; None if one was."""
    notice_missing: Reason | None = None
    """Set if the call was recorded, but the notice about it was not played to its end."""
    paused: bool = False
    """Whether the carrier's recording was paused meanwhile, other than by us: the streams continued."""
    pauses: int = 0
    """How often people paused all recordings of the call, which are silent then."""
    pause_edges_ms: int = 0
    """How much sound around those pauses one capture may lack, because the carrier does not pause at our instant."""
    fault: ChannelFault | None = None
    """A fault of the recording as a whole, found by comparing each role with both channels."""
    live_speech_ms: int = 0
    """Speech found in the live layers, both roles together."""
    imported: bool = False
    """Whether the call was imported, so that there never was a stream."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The differences up to which two captures of a call count as the same."""

    correlation: float = 0.95
    drift_ppm: float = 50.0
    unmatched_ms: int = 60
    """Also the tolerated loss by timestamp: three frames."""
    late_stream_ms: int = 2_000
    """A stream usually begins 300 to 600 ms after the recording."""
    offset_spread_ms: float = 20.0
    """Between roles, and within a call."""
    duration_ms: int = 1_000
    speech_ms: int = 2_000
    live_only_ms: int = 500


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and its reasons, those that make it suspect first; none when verified."""

    verdict: Verdict
    reasons: tuple[Reason, ...] = ()


RECORDING_OFF = Reason("not_recorded", "recording is switched off by a setting")
_LIMITS = Limits()
_TOO_SHORT, _SILENT = "16101", "16102"
FAULTS = {
    ChannelFault.SWAPPED: "the recording's channels are swapped: each party is on the other's channel",
    ChannelFault.EQUAL: "both channels of the recording contain the same sound, so the parties cannot be distinguished",
    ChannelFault.UNRELATED: "the recording does not contain the sound of the live layers",
}
_ABSENT_BECAUSE = {
    _TOO_SHORT: "it was too short (16101)",
    _SILENT: "it was silent (16102)",
    None: "no reason given",
}


def judge(comparisons: Sequence[Comparison], facts: Facts, limits: Limits = _LIMITS) -> Judgement:
    """The verdict on a call: `comparisons` has at most one per role, and none if the cloud recording is not stored.

    A call is verified if every measure agrees, explained if each difference has a known cause, otherwise suspect. A
    suspect call also lists its explained differences. An imported call lists what is wrong with its only recording.
    """
    if facts.imported:
        return Judgement(Verdict.IMPORTED, tuple(_imported(facts)))
    suspect = [*_suspect_cloud(facts, limits)]
    explained = [*_explained_cloud(facts, limits)]
    if facts.cloud_state is CloudState.STORED:
        suspect += _suspect_file(comparisons, facts, limits)
        explained += _explained_file(comparisons, facts, limits)
        if facts.fault is not None:
            suspect = [Reason(facts.fault, FAULTS[facts.fault])]
        elif facts.cloud_channels >= 2:
            for comparison in comparisons:
                suspect += _suspect_role(comparison, facts, limits)
                explained += _explained_role(comparison, facts, limits)
    verdict = Verdict.SUSPECT if suspect else Verdict.EXPLAINED if explained else Verdict.VERIFIED
    return Judgement(verdict, (*suspect, *explained))


def _imported(facts: Facts) -> Iterator[Reason]:
    if facts.cloud_state is not CloudState.STORED:
        yield Reason("cloud_parked", "the imported recording is not stored here any more; import it again")
    elif facts.fault is not None:
        yield Reason(facts.fault, FAULTS[facts.fault])
    elif facts.cloud_channels < 2:
        yield Reason(
            "mono_recording", "the recording has one channel, so its words cannot be attributed to a party"
        )


def _suspect_cloud(facts: Facts, limits: Limits) -> Iterator[Reason]:
    match facts.cloud_state:
        case CloudState.MISSING | CloudState.EXPECTED | CloudState.IN_PROGRESS if facts.not_recorded is None:
            yield Reason(
                "cloud_missing", "the carrier reported no finished recording, and its list contains none"
            )
        case CloudState.PARKED | CloudState.COMPLETED:
            yield Reason("cloud_parked", "the carrier's recording could not be downloaded")
        case CloudState.ABSENT if _absent_despite_speech(facts, limits):
            yield Reason(
                "absent_despite_speech",
                f"the carrier has no recording: {_absence(facts)}; the live layers contain {_seconds(facts.live_speech_ms)} of speech",
            )


def _explained_cloud(facts: Facts, limits: Limits) -> Iterator[Reason]:
    if facts.not_recorded is not None and facts.cloud_state is not CloudState.STORED:
        yield facts.not_recorded
    if facts.notice_missing is not None:
        yield facts.notice_missing
    if facts.cloud_state is CloudState.ABSENT and not _absent_despite_speech(facts, limits):
        yield Reason("cloud_absent", f"the carrier has no recording: {_absence(facts)}")
    if facts.cloud_state is CloudState.FAILED:
        yield Reason(
            "cloud_failed", f"the carrier's recording failed, code {facts.cloud_error_code or 'not given'}"
        )


def _absent_despite_speech(facts: Facts, limits: Limits) -> bool:
    return facts.cloud_error_code in (_TOO_SHORT, _SILENT, None) and facts.live_speech_ms > limits.speech_ms


def _absence(facts: Facts) -> str:
    return _ABSENT_BECAUSE.get(facts.cloud_error_code, f"code {facts.cloud_error_code}")


def _suspect_file(comparisons: Sequence[Comparison], facts: Facts, limits: Limits) -> Iterator[Reason]:
    """Reasons that concern the whole file, or both roles together."""
    file_ms = max((comparison.cloud_ms for comparison in comparisons), default=None)
    reported_s = facts.callback_duration_s
    differs_ms = 0 if reported_s is None or file_ms is None else abs(reported_s * 1000 - file_ms)
    if differs_ms > limits.duration_ms and not facts.paused:
        yield Reason(
            "duration_differs",
            f"the carrier reported {reported_s} s, but the file has {_seconds(file_ms or 0)}",
        )
    if facts.streams == 0:
        yield Reason("live_missing", "no media stream was received, so there is no live layer to compare")
    elif facts.cloud_channels >= 2 and facts.tracks >= 2:
        compared = {comparison.role for comparison in comparisons}
        for role in Role:
            if role not in compared:
                yield Reason("not_compared", f"the {role}'s audio was not compared", role)
    offsets = [comparison.offset_ms for comparison in comparisons if _is_aligned(comparison, limits)]
    spread_ms = max(offsets) - min(offsets) if offsets and not facts.paused else 0.0
    if facts.cloud_channels >= 2 and spread_ms > limits.offset_spread_ms:
        yield Reason(
            "offset_differs",
            f"the two parties' live layers start {spread_ms:.0f} ms apart in the recording",
        )


def _explained_file(comparisons: Sequence[Comparison], facts: Facts, limits: Limits) -> Iterator[Reason]:
    if facts.cloud_channels < 2:
        yield Reason(
            "mono_recording", "the recording has one channel, so the parties cannot be compared separately"
        )
    elif facts.tracks < 2:
        yield Reason("single_track", "only one party was streamed or recorded")
    if comparisons and all(comparison.silent for comparison in comparisons):
        yield Reason("both_silent", "the live layers and the recording are both silent")
    latest_ms = max((c.offset_ms for c in comparisons if _is_aligned(c, limits)), default=0.0)
    if latest_ms > limits.late_stream_ms:
        known = facts.stream_started_late_ms
        clock = "" if known is None else f" ({known} ms by the clock)"
        yield Reason("late_stream", f"the stream started {latest_ms:.0f} ms after the recording{clock}")
    if facts.streams > 1:
        yield Reason(
            "stream_interrupted",
            f"the call had {facts.streams} streams, with {facts.between_streams_ms} ms between them",
        )
    if (
        facts.paused
        and facts.fault is None
        and any(_differs(comparison, limits) for comparison in comparisons)
    ):
        yield Reason("paused", "the recording was paused while the streams continued")
    elif not facts.paused and any(_needs_edges(comparison, facts, limits) for comparison in comparisons):
        times = "once" if facts.pauses == 1 else f"{facts.pauses} times"
        yield Reason("paused", f"the recording was paused {times}; the captures differ around the pauses")


def _needs_edges(comparison: Comparison, facts: Facts, limits: Limits) -> bool:
    """Whether a difference counts as the edge of a pause of ours."""
    without = replace(facts, pause_edges_ms=0)
    strict, tolerant = (list(_suspect_role(comparison, known, limits)) for known in (without, facts))
    return len(strict) > len(tolerant)


def _differs(comparison: Comparison, limits: Limits) -> bool:
    """Whether the two captures differ in a way that a pause of one of them explains."""
    return (
        comparison.live_only_ms > limits.live_only_ms
        or comparison.unmatched_ms > limits.unmatched_ms
        or comparison.jump_ms > limits.offset_spread_ms
        or comparison.offset_ms < -limits.offset_spread_ms
        or (comparison.correlation is not None and comparison.correlation < limits.correlation)
    )


def _suspect_role(comparison: Comparison, facts: Facts, limits: Limits) -> Iterator[Reason]:
    if facts.paused:
        return  # a pause moves, silences or removes sound of the recording; the reason `paused` says so
    role = comparison.role
    if comparison.correlation is not None and comparison.correlation < limits.correlation:
        # Without correlation the other measurements are meaningless.
        yield Reason(
            "low_correlation", f"the {role}'s recordings correlate only {comparison.correlation:.2f}", role
        )
        return
    if abs(comparison.drift_ppm) > limits.drift_ppm:
        yield Reason(
            "drift", f"the {role}'s live layer drifts {comparison.drift_ppm:.0f} ppm from the recording", role
        )
    if comparison.correlation is not None and comparison.offset_ms < -limits.offset_spread_ms:
        yield Reason(
            "offset_differs",
            f"the {role}'s live layer starts {-comparison.offset_ms:.0f} ms before the recording",
            role,
        )
    if comparison.jump_ms > limits.offset_spread_ms and facts.streams < 2:
        yield Reason(
            "offset_differs",
            f"the {role}'s live layer shifts {comparison.jump_ms:.0f} ms within the call",
            role,
        )
    unexplained_ms = _unexplained_ms(comparison, facts, limits)
    if unexplained_ms > limits.unmatched_ms:
        yield Reason(
            "unmatched_sound",
            f"{unexplained_ms} ms of the {role}'s audio are in the recording but not in the live layer",
            role,
        )
    sound_in_both = comparison.correlation is not None
    allowed_ms = limits.live_only_ms if sound_in_both else limits.unmatched_ms
    if comparison.live_only_ms > allowed_ms + facts.pause_edges_ms:
        yield Reason(
            "live_only_sound",
            f"{comparison.live_only_ms} ms of the {role}'s audio are in the live layer but not in the recording",
            role,
        )


def _explained_role(comparison: Comparison, facts: Facts, limits: Limits) -> Iterator[Reason]:
    role = comparison.role
    lost_ms = facts.frames_lost_ms.get(role, 0)
    if facts.streams < 2:
        lost_ms = max(lost_ms, comparison.in_gaps_ms)
    if lost_ms > limits.unmatched_ms:
        late = f"; {facts.frames_late} frames of the call arrived too late" if facts.frames_late else ""
        yield Reason(
            "frames_lost",
            f"{lost_ms} ms of the {role} were not received, according to the timestamps{late}",
            role,
        )
    ends_early_ms = comparison.cloud_ms - comparison.live_ms - round(comparison.offset_ms)
    if facts.stream_cut and (
        comparison.missing_end_ms > limits.unmatched_ms or ends_early_ms > limits.duration_ms
    ):
        yield Reason(
            "stream_cut",
            f"the {role}'s stream was cut {max(ends_early_ms, 0)} ms before the recording ended",
            role,
        )


def _unexplained_ms(comparison: Comparison, facts: Facts, limits: Limits) -> int:
    """How much sound is only in the cloud recording and has no known cause."""
    elsewhere_ms = comparison.unmatched_ms - comparison.missing_start_ms - comparison.missing_end_ms
    lost_ms = facts.frames_lost_ms.get(comparison.role, 0) + facts.between_streams_ms
    unexplained_ms = max(0, elsewhere_ms - max(comparison.in_gaps_ms, lost_ms) - facts.pause_edges_ms)
    if not facts.stream_cut:
        unexplained_ms += comparison.missing_end_ms
    # Before the stream began, sound is expected only in the recording; `late_stream` says so when that is unusual.
    return unexplained_ms


def _is_aligned(comparison: Comparison, limits: Limits) -> bool:
    """Whether the offset is meaningful."""
    return comparison.correlation is not None and comparison.correlation >= limits.correlation


def _seconds(duration_ms: int) -> str:
    return f"{duration_ms / 1000:.1f} s"
