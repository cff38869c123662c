"""A call as one JSON document, for the API, the pages and the demo. It only reads rows."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from types import MappingProxyType

from sqlalchemy import Connection

from callreel.domain.cost import Prices
from callreel.domain.events import Json, swap_roles
from callreel.domain.ids import CallId
from callreel.domain.json_time import json_time
from callreel.domain.recording import LayerFile
from callreel.domain.transcript import Final, TranscriptKind, Turn, Word
from callreel.domain.verdict import Comparison, Reason
from callreel.redaction.masking import entity_of, masked_turns
from callreel.review.analyses import analysis_summary
from callreel.review.costs import call_duration_ms, cost_of, main_recording
from callreel.review.measures import measures_summary
from callreel.review.moments import moment_summaries
from callreel.review.phrase_alerts import alert_summaries
from callreel.review.redacted_view import redaction_summary, stretches_to_mask
from callreel.review.timeline import call_timeline
from callreel.store.calls import (
    calls,
    consents,
    erasures,
    facts,
    holds,
    labels,
    layers,
    legs,
    measures,
    notes,
    pauses,
    recordings,
    streams,
)
from callreel.store.calls.calls import CallRow
from callreel.store.calls.labels import LabelRow
from callreel.store.calls.notes import NoteRow
from callreel.store.calls.pauses import PauseRow
from callreel.store.calls.recordings import RecordingRow
from callreel.store.calls.streams import StreamRow
from callreel.store.insight import topics
from callreel.store.people import technicians
from callreel.store.transcripts import finals, live_scores, revisions, transcripts
from callreel.store.transcripts.live_scores import LiveScoreRow
from callreel.store.transcripts.revisions import RevisionRow
from callreel.store.transcripts.transcripts import TranscriptRow

Summary = dict[str, Json]

ROLES_SWAPPED = "roles_swapped"
"""A fact: `{swapped, by}`."""


def call_summary(
    conn: Connection,
    call_id: CallId,
    prices: Prices | None = None,
    *,
    words: bool = False,
    machine: bool = False,
    original: bool = False,
) -> Summary | None:
    """All data of a call, or None if there is no such call.

    `turns` are those of the newest revision. `words` adds each turn's words, `machine` the engine's original turns.
    Redacted words are masked and text that awaits redaction is left out, unless `original`.
    `cost` is None for a live call and without `prices`.
    """
    row = calls.get(conn, call_id)
    if row is None:
        return None
    shown = revisions.shown(conn, call_id)
    recording = main_recording(recordings.of_call(conn, call_id))
    turns = {"turns": shown.turns if shown else (), "live_turns": live_turns(conn, row)}
    if machine:
        turns["machine_turns"] = shown.machine.turns if shown else ()
    stretches = stretches_to_mask(conn, row, original=original)
    hidden = row.withheld and not original
    masked = {name: () if hidden else masked_turns(listed, stretches) for name, listed in turns.items()}
    by_role: Summary = {
        "layers": _layers(call_id, layers.of_call(conn, call_id), original),
        "redaction": redaction_summary(conn, row, original=original),
        **{name: [turn_summary(turn, words=words) for turn in listed] for name, listed in masked.items()},
        "alerts": alert_summaries(conn, row, masked["live_turns"], live_offset_ms(row)),
        "moments": moment_summaries(masked["turns"], shown.machine.language if shown else ""),
        "comparisons": [_comparison(comparison) for comparison in row.comparisons],
        "analysis": None if hidden else analysis_summary(conn, row),
    }
    return {
        **call_head(row, technicians.names_of(conn, [row.remote_number])),
        **standings(conn, [call_id])[call_id],
        **triage_summary(row),
        **(swap_roles(by_role) if row.roles_swapped else by_role),
        "role_swaps": role_swaps(conn, call_id),
        "language": row.language or None,
        "consent": consent_summary(conn, call_id),
        "transcript": _transcript(shown.machine if shown else None),
        "revision": revision_head(shown.revision) if shown and shown.revision else None,
        "live_offset_ms": live_offset_ms(row),
        "pauses": [pause_summary(pause, live_offset_ms(row)) for pause in pauses.of_call(conn, call_id)],
        "disk_lost_ms": disk_lost_ms(streams.of_call(conn, call_id)),
        "live_score": _live_score(live_scores.of_call(conn, call_id)),
        "measures": measures_summary(measures.of_call(conn, call_id)),
        "notes": [note_summary(note) for note in notes.of_call(conn, call_id)],
        "recording": _recording(recording),
        "cost": _cost(conn, row, recording, prices),
        "timeline": call_timeline(conn, row),
    }


def call_head(row: CallRow, names: Mapping[str, str] = MappingProxyType({})) -> Summary:
    """A call as an entry of a list. `names` are technicians' by number. `duration_ms` is None for a live call; it counts
    from the answer if there was one.
    """
    reasons: Summary = {"reasons": [_reason(reason) for reason in row.reasons]}
    return {
        "call_id": row.id,
        "call_sid": row.leg_sid,
        "state": row.state.value,
        "direction": row.direction.value,
        "agent": row.agent,
        "number": row.remote_number,
        "number_name": names.get(row.remote_number),
        "created_at": json_time(row.created_at),
        "answered_at": json_time(row.answered_at),
        "ended_at": json_time(row.ended_at),
        "duration_ms": call_duration_ms(row),
        "verdict": row.verdict.value if row.verdict else None,
        **(swap_roles(reasons) if row.roles_swapped else reasons),
        "roles_swapped": row.roles_swapped,
        "demo": row.demo,
        "imported": row.imported,
    }


def standings(conn: Connection, call_ids: Collection[CallId]) -> dict[CallId, Summary]:
    """For each of these calls: whether it is `held`, whether it is `erasing` (ordered, but not done), its `labels` and its `topic`."""
    held, erasing = holds.held(conn, call_ids), erasures.in_progress(conn, call_ids)
    labeled, about = labels.of_calls(conn, call_ids), topics.of_calls(conn, call_ids)
    return {
        call_id: {
            "held": call_id in held,
            "erasing": call_id in erasing,
            "labels": [label_summary(row) for row in labeled.get(call_id, [])],
            "topic": about.get(call_id),
        }
        for call_id in call_ids
    }


def role_swaps(conn: Connection, call_id: CallId) -> list[Json]:
    """Who swapped the roles of the call, or restored them, and when; newest first."""
    listed: list[Json] = [
        {**fact.data, "at": json_time(fact.at)}
        for fact in facts.of_call(conn, call_id)
        if fact.kind == ROLES_SWAPPED
    ]
    return listed[::-1]


def consent_summary(conn: Connection, call_id: CallId) -> Summary | None:
    """The consent stamp of the call; None if the recording policy has no rule for it."""
    stamp = consents.of_call(conn, call_id)
    return stamp.summary if stamp else None


def displayed_turns(row: CallRow, turns: Sequence[Turn]) -> Sequence[Turn]:
    """`turns`, which have the recorded roles, with the displayed ones."""
    return [replace(turn, role=row.displayed(turn.role)) for turn in turns] if row.roles_swapped else turns


def layer_names(files: Sequence[LayerFile]) -> list[str]:
    """A name for each file of a call, for URLs: `live_8k-agent`, `cloud`; a second one of a kind gets `-2`."""
    seen: Counter[str] = Counter()
    names = []
    for file in files:
        kind = file.layer.value if file.role is None else f"{file.layer.value}-{file.role.value}"
        seen[kind] += 1
        names.append(kind if seen[kind] == 1 else f"{kind}-{seen[kind]}")
    return names


def note_summary(row: NoteRow) -> Summary:
    """A mark or a note as JSON."""
    return {
        "id": row.id,
        "kind": row.kind.value,
        "at_ms": row.at_ms,
        "text": row.text,
        "by": row.by,
        "at": json_time(row.at),
    }


def triage_summary(row: CallRow) -> Summary:
    """Who reviewed the call and when, and who is assigned to it, as JSON; null for none."""
    reviewed: Json = {"by": row.reviewed_by, "at": json_time(row.reviewed_at)} if row.reviewed_at else None
    return {"reviewed": reviewed, "assigned_to": row.assigned_to}


def label_summary(row: LabelRow) -> Summary:
    """A label as JSON."""
    return {"id": row.id, "name": row.name, "color": row.color.value}


def pause_summary(row: PauseRow, offset_ms: int = 0) -> Summary:
    """A pause as JSON, with its positions on the call's clock: `offset_ms` later than in the live layers."""
    places = {"start_ms": row.start_ms, "end_ms": row.end_ms}
    return {
        **row.event.data,
        **{name: None if ms is None else ms + offset_ms for name, ms in places.items()},
        "began_at": json_time(row.began_at),
        "ended_at": json_time(row.ended_at),
    }


def revision_head(row: RevisionRow) -> Summary:
    """A revision's number, author and time."""
    return {"number": row.number, "by": row.by, "at": json_time(row.at)}


def _reason(reason: Reason) -> Json:
    return {"code": reason.code, "role": reason.role.value if reason.role else None, "detail": reason.detail}


def _layers(call_id: CallId, files: Sequence[LayerFile], original: bool) -> list[Json]:
    ending = ".wav?original=true" if original else ".wav"
    return [
        _layer(f"/calls/{call_id}/layers/{name}{ending}", file)
        for name, file in zip(layer_names(files), files, strict=True)
    ]


def _layer(url: str, file: LayerFile) -> Json:
    return {
        "layer": file.layer.value,
        "role": file.role.value if file.role else None,
        "path": file.path,
        "url": url,
        "rate_hz": file.rate_hz,
        "channels": file.channels,
        "duration_ms": file.duration_ms,
        "size_bytes": file.size_bytes,
        "archived": file.archived is not None,
        "sha256": file.sha256,
        "state": file.state.value,
    }


def _transcript(row: TranscriptRow | None) -> Json:
    if row is None:
        return None
    return {
        "engine": row.engine,
        "model": row.model,
        "reason": row.reason,
        "language": row.language or None,
        "detected": row.detected,
        "crosstalk": row.crosstalk,
        "revision": row.revision,
        "created_at": json_time(row.created_at),
    }


def live_offset_ms(row: CallRow) -> int:
    """The position of the live layers' start in the recording; 0 if they were not compared.

    The call's clock is the recording's, which begins first. During the call, live positions count from the
    stream's beginning, some 400 ms later.
    """
    aligned = [comparison for comparison in row.comparisons if comparison.aligned]
    return round(max(aligned, key=lambda c: c.correlation or 0.0).offset_ms) if aligned else 0


def disk_lost_ms(rows: Sequence[StreamRow]) -> int:
    """How much audio of a party's live layers is silence because the disk failed; the larger value of the two parties.

    A party's count accumulates over the streams of a call.
    """
    counted = (count for row in rows for count in row.counts.values() if isinstance(count, dict))
    lost = (count.get("disk_lost_ms") for count in counted)
    return max((ms for ms in lost if isinstance(ms, int)), default=0)


def _live_score(row: LiveScoreRow | None) -> Json:
    """The quality of the live text. The word error rate is against the engine's final text."""
    if row is None:
        return None
    rate = None
    if row.words and row.replaced is not None and row.missing is not None and row.added is not None:
        rate = round((row.replaced + row.missing + row.added) / row.words, 4)
    return {**asdict(row), "word_error_rate": rate}


def _comparison(comparison: Comparison) -> Json:
    return {**asdict(comparison), "role": comparison.role.value}


def live_turns(conn: Connection, row: CallRow) -> Sequence[Turn]:
    """The live transcript once complete, until then its final results; on the call's clock, with the recorded roles."""
    live = transcripts.latest(conn, row.id, TranscriptKind.LIVE)
    if live is not None:
        return on_call_clock(row, live.turns)
    return [_turn_of(final) for final in finals.of_call(conn, row.id) if final.text]


def on_call_clock(row: CallRow, turns: Iterable[Turn]) -> list[Turn]:
    """Turns of the live layers at their positions in the call."""
    offset_ms = live_offset_ms(row)
    return [_shifted(turn, offset_ms) for turn in turns]


def _shifted(turn: Turn, by_ms: int) -> Turn:
    words = tuple(
        replace(word, start_ms=word.start_ms + by_ms, end_ms=word.end_ms + by_ms) for word in turn.words
    )
    return replace(turn, start_ms=turn.start_ms + by_ms, end_ms=turn.end_ms + by_ms, words=words)


def _turn_of(final: Final) -> Turn:
    sure = [word.confidence for word in final.words if word.confidence is not None]
    confidence = sum(sure) / len(sure) if sure else None
    segment = final.segment
    return Turn(
        segment.role,
        segment.start_ms,
        segment.end_ms,
        final.text,
        confidence,
        final.words,
        final.fallback_engine,
    )


def turn_summary(turn: Turn, *, words: bool = False) -> Summary:
    document: Summary = {
        "role": turn.role.value,
        "start_ms": turn.start_ms,
        "end_ms": turn.end_ms,
        "text": turn.text,
        "confidence": None if turn.confidence is None else round(turn.confidence, 3),
        "fallback_engine": turn.fallback_engine,
    }
    if words:
        document["words"] = [_word(word) for word in turn.words]
    return document


def _word(word: Word) -> Json:
    document: Summary = {
        "text": word.text,
        "start_ms": word.start_ms,
        "end_ms": word.end_ms,
        "confidence": word.confidence,
    }
    entity = entity_of(word)
    return document | {"entity": entity.value} if entity else document


def _recording(row: RecordingRow | None) -> Json:
    if row is None:
        return None
    return {
        "sid": row.sid,
        "state": row.state.value,
        "error_code": row.error_code,
        "channels": row.channels,
        "duration_s": row.duration_s,
        "last_error": row.failure,
        "track": row.track,
        "price": row.price,
        "price_currency": row.price_currency,
    }


def _cost(conn: Connection, row: CallRow, recording: RecordingRow | None, prices: Prices | None) -> Json:
    if prices is None:
        return None
    transcribed = transcripts.billed_audio(conn, [row.id]).get(row.id, [])
    cost = cost_of(
        row, legs.of_call(conn, row.id), streams.of_call(conn, row.id), recording, prices, transcribed
    )
    if cost is None:
        return None
    return {
        "currency": cost.currency,
        "total": float(cost.total),
        "items": [
            {
                "name": item.name,
                "minutes": item.minutes,
                "per_minute": float(item.per_minute),
                "amount": float(item.amount),
                "monthly": item.monthly,
                "estimated": item.estimated,
            }
            for item in cost.items
        ],
    }
