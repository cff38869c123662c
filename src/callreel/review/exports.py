"""A call's transcript as a file: the newest revision, or the live text until there is a final one."""

from collections.abc import Mapping
from enum import StrEnum

from sqlalchemy import Connection

from callreel.domain.call import Role
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.formats.paused import Paused, ordered
from callreel.formats.plain_text import plain_text
from callreel.formats.subtitles import subrip, webvtt
from callreel.formats.transcript_csv import transcript_csv
from callreel.formats.transcript_json import transcript_json
from callreel.redaction.masking import masked_turns
from callreel.review.analyses import displayed_analysis, displayed_sentiments
from callreel.review.measures import measures_summary
from callreel.review.moments import moment_summaries
from callreel.review.redacted_view import stretches_to_mask
from callreel.review.summary import (
    call_head,
    consent_summary,
    displayed_turns,
    live_offset_ms,
    live_turns,
    pause_summary,
    revision_head,
)
from callreel.store.calls import calls, consents, measures, pauses
from callreel.store.insight import topics
from callreel.store.people import technicians
from callreel.store.transcripts import revisions


class Format(StrEnum):
    """The ending of the file."""

    TEXT = "txt"
    SUBRIP = "srt"
    WEBVTT = "vtt"
    JSON = "json"
    CSV = "csv"


MEDIA_TYPES: Mapping[Format, str] = {
    Format.TEXT: "text/plain; charset=utf-8",
    Format.SUBRIP: "application/x-subrip; charset=utf-8",
    Format.WEBVTT: "text/vtt; charset=utf-8",
    Format.JSON: "application/json",
    Format.CSV: "text/csv; charset=utf-8",
}


def export_transcript(
    conn: Connection,
    call_id: CallId,
    wanted: Format,
    names: Mapping[Role, str],
    *,
    byte_order_mark: bool = False,
    original: bool = False,
) -> str | None:
    """The file's text, or None if there is no such call. `names` has the display name of each role.

    `byte_order_mark` is for CSV alone. Redacted words are masked unless `original`.
    """
    row = calls.get(conn, call_id)
    if row is None:
        return None
    shown = revisions.shown(conn, call_id)
    said = () if row.withheld and not original else shown.turns if shown else live_turns(conn, row)
    turns = displayed_turns(row, masked_turns(said, stretches_to_mask(conn, row, original=original)))
    listed = [pause_summary(pause, live_offset_ms(row)) for pause in pauses.of_call(conn, call_id)]
    paused = ordered(
        Paused(pause["start_ms"], end_ms if isinstance(end_ms := pause["end_ms"], int) else None)
        for pause in listed
        if isinstance(pause["start_ms"], int)
    )
    match wanted:
        case Format.SUBRIP:
            return subrip(turns, names, paused)
        case Format.WEBVTT:
            return webvtt(turns, names, paused)
        case Format.CSV:
            hidden = row.withheld and not original
            course = () if hidden else displayed_sentiments(conn, row)
            return transcript_csv(turns, names, paused, course, byte_order_mark=byte_order_mark)
        case Format.JSON:
            head = call_head(row, technicians.names_of(conn, [row.remote_number]))
            head["consent"] = consent_summary(conn, call_id)
            head["topic"] = topics.of_calls(conn, [call_id]).get(call_id)
            head["analysis"] = None if row.withheld and not original else displayed_analysis(conn, row)
            head["measures"] = measures_summary(measures.of_call(conn, call_id))
            moments = moment_summaries(turns, shown.machine.language if shown else "")
            return transcript_json({**_json_head(head, shown), "pauses": listed, "moments": moments}, turns)
    lines = [
        ("Call", row.id),
        ("Began", row.created_at.isoformat(timespec="seconds")),
        (names[Role.AGENT], row.agent),
        (names[Role.TECHNICIAN], row.remote_number),
        ("Transcript", _what(shown)),
    ]
    if stamp := consents.of_call(conn, call_id):
        lines.append(("Consent", stamp.text))
    return plain_text(lines, turns, names, paused)


def _json_head(call: Mapping[str, Json], shown: revisions.Shown | None) -> dict[str, Json]:
    machine = shown.machine if shown else None
    return {
        "call": call,
        "transcript": {
            "kind": "final" if machine else "live",
            "engine": machine.engine if machine else None,
            "model": machine.model if machine else None,
            "revision": revision_head(shown.revision) if shown and shown.revision else None,
        },
    }


def _what(shown: revisions.Shown | None) -> str:
    if shown is None:
        return "live, not final"
    engine = f"{shown.machine.engine} {shown.machine.model}".strip()
    newest = shown.revision
    return engine if newest is None else f"{engine}, revision {newest.number} by {newest.by}"
