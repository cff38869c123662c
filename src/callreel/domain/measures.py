"""How a call went, measured from the times at which each party spoke. Pure: no model, no text but the number of words.

docs/measures.md has every definition with its unit. Positions are milliseconds on the call's clock.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from statistics import median_low
from typing import NamedTuple

from callreel.domain.call import Role

JOINED_MS = 300
"""Speech of one party with less silence between is one utterance: a breath or the closure of a consonant."""
BACKCHANNEL_MS = 1_000
"""A shorter utterance within one of the other party ("mhm", "right") takes no turn and interrupts nothing."""
OVERLAP_MS = 300
"""Shorter simultaneous speech is ordinary turn-taking."""
LEAD_MS = 300
"""Parties who begin within this time began at once: neither interrupts."""
SHORTEST_TALK_MS = 1_000
"""With less talk time a speech rate says nothing."""
DEFINITIONS = 2
"""Of these rules; a measured call with a lower number is measured again by `callreel measure`."""


class Span(NamedTuple):
    """From `start_ms` up to `end_ms`."""

    start_ms: int
    end_ms: int

    @property
    def length_ms(self) -> int:
        return self.end_ms - self.start_ms


class Interruption(NamedTuple):
    """`by` broke in at `at_ms`; `gave_way` is who stopped first, after `overlap_ms` of speech of both."""

    at_ms: int
    by: Role
    gave_way: Role
    overlap_ms: int


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a party has said so far: talk time, and where its newest speech ended; 0 without any."""

    talk_ms: int
    until_ms: int


def live_measures(spoken: Mapping[Role, Spoken | None], position_ms: int) -> dict[str, int]:
    """Talk time of each party and the current silence, for level events; empty where no speech is detected live."""
    known = {role: one for role, one in spoken.items() if one is not None}
    if len(known) < len(Role):
        return {}
    silent_since_ms = max(one.until_ms for one in known.values())
    talk = {f"{role.value}_talk_ms": one.talk_ms for role, one in known.items()}
    return {**talk, "silence_ms": max(0, position_ms - silent_since_ms)}


@dataclass(frozen=True, slots=True)
class PartyMeasures:
    """Of one party. `talk_ratio` is its share of the talk time of both; None where neither party spoke.

    `first_word_ms` counts from the answer. `response_ms` is the median over `responses` turns.
    """

    talk_ms: int
    talk_ratio: float | None
    turns: int
    longest_turn_ms: int
    longest_turn_at_ms: int | None
    words: int | None
    words_per_minute: int | None
    responses: int
    response_ms: int | None
    interruptions: int
    gave_way: int
    first_word_ms: int | None
    speech: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class CallMeasures:
    """`start_ms` to `end_ms` is what was measured: from the answer to the end of the recording.

    `silences` are those of at least `silence_limit_ms`.
    """

    start_ms: int
    end_ms: int
    ringing_ms: int | None
    paused_ms: int
    overlap_ms: int
    silence_limit_ms: int
    silences: tuple[Span, ...]
    interruptions: tuple[Interruption, ...]
    agent: PartyMeasures
    technician: PartyMeasures

    def of(self, role: Role) -> PartyMeasures:
        return self.agent if role is Role.AGENT else self.technician

    @property
    def longest_turn_ms(self) -> int:
        return max(self.agent.longest_turn_ms, self.technician.longest_turn_ms)

    @property
    def silence_ms(self) -> int:
        return sum(span.length_ms for span in self.silences)

    @property
    def swapped(self) -> "CallMeasures":
        """With agent and technician exchanged."""
        return replace(
            self,
            agent=self.technician,
            technician=self.agent,
            interruptions=tuple(
                one._replace(by=one.by.other, gave_way=one.gave_way.other) for one in self.interruptions
            ),
        )


@dataclass(frozen=True, slots=True)
class CallSpeech:
    """What is measured: when each party spoke, and the rest that a recording shows.

    `words` is None without a transcript. `pauses` were not recorded.
    """

    speech: Mapping[Role, Sequence[Span]]
    start_ms: int
    end_ms: int
    pauses: Sequence[Span] = ()
    words: Mapping[Role, int] | None = None
    ringing_ms: int | None = None


@dataclass(frozen=True, slots=True)
class _Turn:
    role: Role
    start_ms: int
    end_ms: int


def measure(captured: CallSpeech, silence_limit_ms: int) -> CallMeasures:
    """All measures of a call."""
    start_ms, end_ms = captured.start_ms, max(captured.start_ms, captured.end_ms)
    speech = {role: _utterances(captured.speech.get(role, ()), start_ms, end_ms) for role in Role}
    pauses = _clipped(joined(captured.pauses), start_ms, end_ms)
    silences = _silences(speech, pauses, start_ms, end_ms, silence_limit_ms)
    turns = _turns(speech, [*silences, *pauses])
    interruptions = _interruptions(speech)
    talk_ms = sum(span.length_ms for spans in speech.values() for span in spans)

    def party(role: Role) -> PartyMeasures:
        spoken_ms = sum(span.length_ms for span in speech[role])
        own = [turn for turn in turns if turn.role is role]
        longest = max(own, key=lambda turn: turn.end_ms - turn.start_ms, default=None)
        words = None if captured.words is None else captured.words.get(role, 0)
        responses = _responses(turns, pauses, role)
        return PartyMeasures(
            talk_ms=spoken_ms,
            talk_ratio=round(spoken_ms / talk_ms, 4) if talk_ms else None,
            turns=len(own),
            longest_turn_ms=longest.end_ms - longest.start_ms if longest else 0,
            longest_turn_at_ms=longest.start_ms if longest else None,
            words=words,
            words_per_minute=words_per_minute(words, spoken_ms),
            responses=len(responses),
            response_ms=median_low(responses) if responses else None,
            interruptions=sum(one.by is role for one in interruptions),
            gave_way=sum(one.gave_way is role for one in interruptions),
            first_word_ms=speech[role][0].start_ms - start_ms if speech[role] else None,
            speech=tuple(speech[role]),
        )

    return CallMeasures(
        start_ms=start_ms,
        end_ms=end_ms,
        ringing_ms=captured.ringing_ms,
        paused_ms=sum(span.length_ms for span in pauses),
        overlap_ms=sum(span.length_ms for span in _both(speech)),
        silence_limit_ms=silence_limit_ms,
        silences=silences,
        interruptions=interruptions,
        agent=party(Role.AGENT),
        technician=party(Role.TECHNICIAN),
    )


def words_per_minute(words: int | None, talk_ms: int) -> int | None:
    """The speech rate while a party talks; None if it cannot be given."""
    return None if words is None or talk_ms < SHORTEST_TALK_MS else round(words * 60_000 / talk_ms)


def joined(spans: Iterable[Span], gap_ms: int = 0) -> list[Span]:
    """The spans in order; those that overlap, touch or are less than `gap_ms` apart as one."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and (span.start_ms <= found[-1].end_ms or span.start_ms - found[-1].end_ms < gap_ms):
            found[-1] = Span(found[-1].start_ms, max(found[-1].end_ms, span.end_ms))
        elif span.length_ms > 0:
            found.append(span)
    return found


def _clipped(spans: Iterable[Span], start_ms: int, end_ms: int) -> list[Span]:
    cut = (Span(max(span.start_ms, start_ms), min(span.end_ms, end_ms)) for span in spans)
    return [span for span in cut if span.length_ms > 0]


def _utterances(spans: Iterable[Span], start_ms: int, end_ms: int) -> list[Span]:
    return _clipped(joined(spans, JOINED_MS), start_ms, end_ms)


def _both(speech: Mapping[Role, Sequence[Span]]) -> list[Span]:
    """When both parties spoke."""
    found, others = [], speech[Role.TECHNICIAN]
    at = 0
    for span in speech[Role.AGENT]:
        while at < len(others) and others[at].end_ms <= span.start_ms:
            at += 1
        after = at
        while after < len(others) and others[after].start_ms < span.end_ms:
            other = others[after]
            found.append(Span(max(span.start_ms, other.start_ms), min(span.end_ms, other.end_ms)))
            after += 1
    return found


def _silences(
    speech: Mapping[Role, Sequence[Span]], pauses: Sequence[Span], start_ms: int, end_ms: int, limit_ms: int
) -> tuple[Span, ...]:
    """When neither party spoke for `limit_ms`; a pause of the recording ends a silence, and is none."""
    known = joined([*pauses, *(span for spans in speech.values() for span in spans)])
    edges = [Span(start_ms, start_ms), *known, Span(end_ms, end_ms)]
    gaps = (Span(before.end_ms, after.start_ms) for before, after in pairwise(edges))
    return tuple(gap for gap in gaps if gap.length_ms >= limit_ms)


def _around(spans: Sequence[Span], at_ms: int) -> Span | None:
    """The one of `spans`, which are in order, that had begun before `at_ms` and had not ended."""
    place = bisect_right(spans, (at_ms - 1, 1 << 62)) - 1
    return spans[place] if place >= 0 and spans[place].end_ms > at_ms else None


def _is_backchannel(span: Span, others: Sequence[Span]) -> bool:
    around = _around(others, span.start_ms)
    return span.length_ms < BACKCHANNEL_MS and around is not None and span.end_ms <= around.end_ms


def _turns(speech: Mapping[Role, Sequence[Span]], breaks: Iterable[Span]) -> list[_Turn]:
    """Consecutive utterances of one party, without backchannels; each of `breaks` ends a turn too."""
    spoken = sorted(
        (span, role)
        for role, spans in speech.items()
        for span in spans
        if not _is_backchannel(span, speech[role.other])
    )
    starts = sorted(one.start_ms for one in breaks)
    found = []
    for (role, _), group in groupby(spoken, key=lambda one: (one[1], bisect_right(starts, one[0].start_ms))):
        spans = [span for span, _ in group]
        found.append(_Turn(role, spans[0].start_ms, max(span.end_ms for span in spans)))
    return found


def _responses(turns: Sequence[_Turn], pauses: Sequence[Span], role: Role) -> list[int]:
    """The silence before each turn of `role` that follows one of the other party, where there is no pause in it."""
    return [
        after.start_ms - before.end_ms
        for before, after in pairwise(turns)
        if after.role is role
        and before.role is not role
        and after.start_ms >= before.end_ms
        and not any(p.start_ms < after.start_ms and p.end_ms > before.end_ms for p in pauses)
    ]


def _interruptions(speech: Mapping[Role, Sequence[Span]]) -> tuple[Interruption, ...]:
    found = []
    for role in Role:
        for span in speech[role]:
            other = _around(speech[role.other], span.start_ms)
            if other is None or span.length_ms < BACKCHANNEL_MS:
                continue
            overlap_ms = min(span.end_ms, other.end_ms) - span.start_ms
            if overlap_ms < OVERLAP_MS or span.start_ms - other.start_ms < LEAD_MS:
                continue
            gave_way = role.other if other.end_ms <= span.end_ms else role
            found.append(Interruption(span.start_ms, role, gave_way, overlap_ms))
    return tuple(sorted(found))
