"""An evaluation: recordings with known words, transcribed by one engine offline and as if live, and its figures.

Formulas are in `evaluation/scores.py`. Offline is the pass after a call: the same detector with its longer silence, each
segment decoded once. Live is `evaluation/simulated_live.py`. The difference of
the two word error rates is the streaming gap, which judges our pipeline and not the engine.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from callreel.asr.stability import same_word
from callreel.asr.turns import words_from
from callreel.audio.resample import upsample_all
from callreel.audio.samples import ASR_SAMPLES_PER_MS, TELEPHONE_HZ, Samples
from callreel.audio.segmenter import SegmenterOptions, SpeechDetector, speech_spans
from callreel.domain.call import Role
from callreel.domain.transcript import Final, Segment
from callreel.evaluation import scores
from callreel.evaluation.decoding import Decoding
from callreel.evaluation.material import Recorded
from callreel.evaluation.scores import Segmentation, Spoken, SpokenWord, WordErrors
from callreel.evaluation.simulated_live import DeliveredFinal, LiveRun, ShownPartial, simulate_live

NewDetector = type[SpeechDetector]


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """How segments are cut live and after the call, how many decode at once, and whether there is a live part."""

    workers: int = 2
    live: bool = True
    live_segmenter: SegmenterOptions = SegmenterOptions()
    offline_segmenter: SegmenterOptions = SegmenterOptions(min_silence_ms=800)


@dataclass(slots=True)
class Evaluated:
    """One recording by one engine. Without the live part its figures are empty. Delays are milliseconds, one number for each word, final or turn."""

    recorded: Recorded
    seconds: float
    offline: WordErrors
    live: WordErrors
    offline_text: dict[Role, str]
    live_text: dict[Role, str]
    segmentation: Segmentation
    partial_delays_ms: list[int] = field(default_factory=list)
    """From a word's end to its first showing at its place, in a partial or the final."""
    stable_delays_ms: list[int] = field(default_factory=list)
    """From a word's end to when it was shown as stable, at the latest in the final."""
    word_delays_ms: list[int] = field(default_factory=list)
    """From a word's end to the final that has it."""
    final_delays_ms: list[int] = field(default_factory=list)
    """From the end of a segment's last word to its final."""
    start_errors_ms: list[int] = field(default_factory=list)
    """How far the start of each word of the offline finals is from where it was said."""
    words_shown: int = 0
    retracted: int = 0
    words_stable: int = 0
    """Words that were shown as stable while their segment was open."""
    contradicted: int | None = None
    """Stable words that the engine's own final does not have; they stayed. None where the engine's words are not available."""
    finals: int = 0
    finals_lost: int = 0
    partials_shed: int = 0
    finals_spilled: int = 0
    overload: int = 0
    """The highest level that was reached."""
    cpu_live_s: float = 0.0
    cpu_offline_s: float = 0.0
    speakers: scores.SpeakerScore | None = None

    @property
    def text(self) -> dict[Role, str]:
        """The live text; the offline text where live was left out."""
        return self.live_text or self.offline_text

    @property
    def errors(self) -> WordErrors:
        """Those of `text`."""
        return self.live if self.live_text else self.offline


async def evaluate(
    recorded: Recorded,
    decoding: Decoding,
    new_detector: NewDetector,
    options: EvaluationOptions,
) -> Evaluated:
    """Transcribe one recording both ways. Raises MaterialError; an engine's errors become lost finals."""
    lanes = recorded.lanes()
    decoding.begin(recorded)
    offline, cpu_offline_s = await _offline(lanes, decoding, new_detector, options.offline_segmenter)
    live = LiveRun()
    if options.live:
        live = await simulate_live(
            recorded,
            decoding,
            workers=options.workers,
            new_detector=new_detector,
            segmenter=options.live_segmenter,
        )
    live_finals = [given.final for given in live.finals]
    result = Evaluated(
        recorded,
        seconds=max(lane.size for lane in lanes.values()) / TELEPHONE_HZ,
        offline=errors(recorded, offline),
        live=errors(recorded, live_finals) if options.live else WordErrors(),
        offline_text={role: _text(offline, role) for role in lanes},
        live_text={role: _text(live_finals, role) for role in lanes} if options.live else {},
        segmentation=Segmentation(),
        words_shown=sum(len(final.words) for final in live_finals),
        retracted=_retracted(live),
        words_stable=sum(given.stable for given in live.finals),
        contradicted=_sum_known(given.contradicted for given in live.finals),
        finals=len(live_finals),
        finals_lost=live.finals_lost,
        partials_shed=live.partials_shed,
        finals_spilled=live.finals_spilled,
        overload=max(live.levels, default=0),
        cpu_live_s=live.cpu_s,
        cpu_offline_s=cpu_offline_s,
    )
    if recorded.timed:
        for role in lanes:
            starts = [
                (word.text, word.start_ms)
                for final in offline
                if final.segment.role is role
                for word in final.words
            ]
            result.start_errors_ms += scores.start_errors_ms(said_by(recorded, role), starts)
    if options.live and recorded.timed:
        _score_times(result, lanes, live, new_detector, options.live_segmenter)
    return result


async def _offline(
    lanes: dict[Role, Samples], decoding: Decoding, new_detector: NewDetector, options: SegmenterOptions
) -> tuple[list[Final], float]:
    finals, cpu_s = [], 0.0
    for role, lane in lanes.items():
        wide = upsample_all(lane)
        for number, piece in enumerate(speech_spans([lane], new_detector(), options)):
            samples = wide[piece.start_ms * ASR_SAMPLES_PER_MS : piece.end_ms * ASR_SAMPLES_PER_MS]
            decoded = await decoding.decode(role, piece.start_ms, samples, partial=False)
            cpu_s += decoded.cpu_s
            segment = Segment(role, number, piece.start_ms, piece.end_ms)
            words = words_from(decoded.words, piece.start_ms)
            finals.append(Final(segment, words, decoded.failed))
    return finals, cpu_s


def _score_times(
    result: Evaluated,
    lanes: dict[Role, Samples],
    live: LiveRun,
    new_detector: NewDetector,
    options: SegmenterOptions,
) -> None:
    """The figures that need the times of words."""
    for role, lane in lanes.items():
        turns = [spoken for spoken in result.recorded.spoken if spoken.role is role]
        result.segmentation += scores.segmentation(turns, list(speech_spans([lane], new_detector(), options)))
        delays = live_delays(said_by(result.recorded, role), live, role)
        result.partial_delays_ms += delays.partial_ms
        result.stable_delays_ms += delays.stable_ms
        result.word_delays_ms += delays.word_ms
        result.final_delays_ms += delays.final_ms
    if result.recorded.two_channels:
        recognized = [_as_spoken(one.final) for one in live.finals]
        result.speakers = scores.speaker_score(result.recorded.spoken, recognized)


def said_by(recorded: Recorded, role: Role) -> list[SpokenWord]:
    """The words of one party with their times."""
    return [word for spoken in recorded.spoken if spoken.role is role for word in spoken.words]


@dataclass(frozen=True, slots=True)
class LiveDelays:
    """Of the words or finals of one party, in milliseconds; the fields of `Evaluated` say what each counts."""

    partial_ms: list[int]
    stable_ms: list[int]
    word_ms: list[int]
    final_ms: list[int]


def live_delays(said: Sequence[SpokenWord], live: LiveRun, role: Role) -> LiveDelays:
    """How long after being said the words of `role` were shown in a live run."""
    given = sorted(
        (one for one in live.finals if one.final.segment.role is role),
        key=lambda one: one.final.segment.number,
    )
    shown = [partial for partial in live.partials if partial.role is role]
    in_finals = [(word.text, round(one.at_ms)) for one in given for word in one.final.words]
    return LiveDelays(
        scores.display_delays_ms(said, _first_shown(given, shown)),
        scores.display_delays_ms(said, _first_stable(given, shown)),
        scores.display_delays_ms(said, in_finals),
        _final_delays_ms(said, given),
    )


def _first_shown(given: Sequence[DeliveredFinal], shown: Sequence[ShownPartial]) -> list[tuple[str, int]]:
    """Each word of the finals and when it first stood at its place, or one beside it."""
    first = []
    for one in given:
        texts = [partial for partial in shown if partial.number == one.final.segment.number]
        for at, word in enumerate(one.final.words):
            near = slice(max(0, at - 1), at + 2)
            seen = (
                partial.at_ms
                for partial in texts
                if any(same_word(word.text, each) for each in partial.words[near])
            )
            first.append((word.text, round(next(seen, one.at_ms))))
    return first


def _first_stable(given: Sequence[DeliveredFinal], shown: Sequence[ShownPartial]) -> list[tuple[str, int]]:
    """Each word of the finals and when it was first shown as stable."""
    first = []
    for one in given:
        texts = [partial for partial in shown if partial.number == one.final.segment.number]
        for at, word in enumerate(one.final.words):
            seen = (partial.at_ms for partial in texts if len(partial.showing.stable) > at)
            first.append((word.text, round(next(seen, one.at_ms))))
    return first


def _final_delays_ms(said: Sequence[SpokenWord], given: Sequence[DeliveredFinal]) -> list[int]:
    delays = []
    for one in given:
        segment = one.final.segment
        within = [
            word.end_ms
            for word in said
            if segment.start_ms <= (word.start_ms + word.end_ms) // 2 < segment.end_ms
        ]
        if within:
            delays.append(round(one.at_ms) - max(within))
    return delays


def _retracted(live: LiveRun) -> int:
    count = 0
    for one in live.finals:
        segment = one.final.segment
        texts = [
            shown.words
            for shown in live.partials
            if (shown.role, shown.number) == (segment.role, segment.number)
        ]
        count += scores.retracted([*texts, [word.text for word in one.final.words]])
    return count


def errors(recorded: Recorded, finals: Iterable[Final]) -> WordErrors:
    """Word errors, each party separately: what one said is never matched with what the other did."""
    kept = list(finals)
    roles = sorted({spoken.role for spoken in recorded.spoken} | {final.segment.role for final in kept})
    return sum(
        (scores.word_errors(reference(recorded, role), _text(kept, role)) for role in roles), WordErrors()
    )


def reference(recorded: Recorded, role: Role) -> str:
    """All that `role` says in the recording."""
    return " ".join(spoken.text for spoken in recorded.spoken if spoken.role is role)


def _text(finals: Iterable[Final], role: Role) -> str:
    mine = sorted(
        (final for final in finals if final.segment.role is role), key=lambda final: final.segment.number
    )
    return " ".join(final.text for final in mine if final.text)


def _as_spoken(final: Final) -> Spoken:
    words = tuple(SpokenWord(word.text, word.start_ms, word.end_ms) for word in final.words)
    start_ms = words[0].start_ms if words else final.segment.start_ms
    end_ms = words[-1].end_ms if words else final.segment.end_ms
    return Spoken(final.segment.role, start_ms, max(start_ms, end_ms), final.text, words)


# Figures


def by_kind(results: Iterable[Evaluated]) -> dict[str, list[Evaluated]]:
    """Kinds in the order of their first recording."""
    kinds: dict[str, list[Evaluated]] = {}
    for result in results:
        kinds.setdefault(result.recorded.kind, []).append(result)
    return kinds


def figures(results: Sequence[Evaluated]) -> dict[str, float | int | None]:
    """All figures of some recordings together. Rates are 0 upwards, times in milliseconds, None where not known."""
    offline = sum((result.offline for result in results), WordErrors())
    live = sum((result.live for result in results), WordErrors())
    pieces = sum((result.segmentation for result in results), Segmentation())
    seconds = sum(result.seconds for result in results)
    shown = sum(result.words_shown for result in results)
    two = [result for result in results if result.speakers is not None]
    made: dict[str, float | int | None] = {
        "recordings": len(results),
        "seconds": round(seconds, 1),
        "words": offline.words,
        "wer_offline": _rounded(offline.rate),
        "wer_live": _rounded(live.rate),
        "streaming_gap": None
        if offline.rate is None or live.rate is None
        else _rounded(live.rate - offline.rate),
    }
    made |= _delays("partial_latency", [ms for result in results for ms in result.partial_delays_ms])
    made |= _delays("stable_latency", [ms for result in results for ms in result.stable_delays_ms])
    made |= _delays("word_latency", [ms for result in results for ms in result.word_delays_ms])
    made |= _delays("word_start_error", [ms for result in results for ms in result.start_errors_ms])
    made |= _delays("final_latency", [ms for result in results for ms in result.final_delays_ms])
    made |= _delays("turn_end_decision", pieces.decision_delays_ms)
    made |= {
        "retracted": _share(sum(result.retracted for result in results), shown),
        "words_stable": sum(result.words_stable for result in results),
        "stable_contradicted": _share(
            _sum_known(result.contradicted for result in results),
            sum(result.words_stable for result in results),
        ),
        "words_lost": _share(pieces.lost, pieces.words),
        "words_cut": _share(pieces.cut, pieces.words),
        "false_segments": pieces.false_segments,
        "finals": sum(result.finals for result in results),
        "finals_lost": sum(result.finals_lost for result in results),
        "partials_shed": sum(result.partials_shed for result in results),
        "finals_spilled": sum(result.finals_spilled for result in results),
        "overload_level": max((result.overload for result in results), default=0),
        "core_s_per_s_live": _share(sum(result.cpu_live_s for result in results), seconds),
        "core_s_per_s_offline": _share(sum(result.cpu_offline_s for result in results), seconds),
        "cp_wer_minus_orc_wer": _rounded(
            _mean([result.speakers.misattributed for result in two if result.speakers])
        ),
        "tcp_wer_minus_tcorc_wer": _rounded(
            _mean([result.speakers.misattributed_in_time for result in two if result.speakers])
        ),
        "tcp_wer": _rounded(_mean([result.speakers.tcp_wer for result in two if result.speakers])),
    }
    return made


def _delays(name: str, delays_ms: Sequence[int]) -> dict[str, float | None]:
    return {f"{name}_p{percent}_ms": scores.percentile(delays_ms, percent) for percent in (50, 90, 95)}


def _sum_known(counts: Iterable[int | None]) -> int | None:
    """None if one of them is not known."""
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total


def _share(part: float | None, whole: float) -> float | None:
    return round(part / whole, 4) if whole and part is not None else None


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
