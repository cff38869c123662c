"""Labels, sentences, numbers and times as pages show them. Pure; used as filters by the templates.

Stored values are for programs (`in_progress`, `16101`, 83250 ms), the texts here are for people. A stored value without
a text here is shown as it is, never hidden.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime

import phonenumbers

from callreel.asr.delivery import LATE_MS
from callreel.domain.caller import DELETED, WITHHELD
from callreel.domain.recording import Layer

VERDICTS: Mapping[str, str] = {
    "verified": "Verified",
    "explained": "Explained",
    "suspect": "Suspect",
    "imported": "Imported",
}

VERDICT_MEANINGS: Mapping[str, str] = {
    "verified": "Two independent recordings of this call agree: the live recording and the carrier's recording.",
    "explained": "The recordings differ, and the reason is known.",
    "suspect": "The recordings differ for an unknown reason. Listen to the call before you rely on it.",
    "imported": "This call was recorded before Callreel and imported. There is no second recording to compare it with.",
}

_NO_NUMBERS: Mapping[str, str] = {WITHHELD: "Withheld number", DELETED: "Deleted number"}

LIGHTS: Mapping[str, str] = {
    "waiting": "waiting",
    "recording": "recording",
    "paused": "paused",
    "downloading": "downloading",
    "done": "stored",
    "repaired": "stored, repaired after a crash",
    "none": "not available",
    "failed": "failed",
}

CLOUD_STATES: Mapping[str, str] = {
    "expected": "The carrier has not reported a recording yet. It does so when the call ends.",
    "in_progress": "The carrier is recording.",
    "completed": "The carrier has finished its recording. It is being downloaded and verified.",
    "stored": "Downloaded from the carrier, verified and stored here.",
    "absent": "The carrier reports that it has no recording of this call.",
    "failed": "The carrier reports that its recording failed.",
    "parked": "The carrier has a recording, but downloading it failed.",
    "missing": "The carrier reported no recording, and its list contains none.",
}

LAYER_NAMES: Mapping[Layer, str] = {
    Layer.LIVE_8K: "Live, 8 kHz",
    Layer.LIVE_16K: "Live, 16 kHz",
    Layer.CLOUD: "Recording downloaded from the carrier",
    Layer.CLOUD_CHANNEL: "Channels of the carrier's recording, one per party",
}

ROW_NAMES: Mapping[str, str] = {
    "transcripts": "Live and final transcripts",
    "turns": "Transcript turns",
    "finals": "Live transcript segments",
    "revisions": "Corrections",
    "notes": "Notes and marks",
    "call_labels": "Labels",
    "turn_index": "Search index entries",
    "topics": "Topic",
    "call_moments": "Kinds of moments",
    "live_events": "Live events",
    "holds": "Legal holds with their reasons",
}
"""What the rows of a call are called on pages, by table."""

ERASURE_STEPS: Mapping[str, str] = {
    "carrier": "Erasing at the carrier",
    "files": "Erasing the audio here",
    "rows": "Erasing transcripts, phone numbers and notes",
}

AT_CARRIER: Mapping[str, str] = {
    "deleted": "deleted",
    "already_deleted": "already deleted",
    "kept": "kept, as requested",
}

CARRIER_ERRORS: Mapping[str, str] = {
    "16101": "the recording was too short to keep",
    "16102": "the recording was silent, and the account deletes silent ones",
}


def duration_text(duration_ms: int | None) -> str:
    """`1:23`, `1:02:03`; a dash for None."""
    if duration_ms is None:
        return "–"
    minutes, seconds = divmod(duration_ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def position_fragment(position_ms: int) -> str:
    """A position in a call as a media fragment, `t=12.3` (W3C Media Fragments URI 1.0, in seconds)."""
    return f"t={position_ms / 1000:.1f}"


def size_text(size_bytes: int) -> str:
    """Decimal units, as file managers show them: `960 B`, `12.4 kB`, `1.9 MB`."""
    size = float(size_bytes)
    if size < 1000:
        return f"{size_bytes} B"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def number_text(number: str) -> str:
    """A phone number in its country's international format; anything else unchanged."""
    if number in _NO_NUMBERS:
        return _NO_NUMBERS[number]
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


TIMELINE: Mapping[str, str] = {
    "placed": "Call placed",
    "twiml": "TwiML generated",
    "stream": "Media stream",
    "layers": "Live layers",
    "answered": "Answered",
    "paused": "Recording paused",
    "ended": "Call ended",
    "callback": "Recording callback",
    "fetched": "Recording downloaded",
    "transcribed": "Transcribed",
    "verdict": "Verdict",
}
"""The steps of a call's timeline (`review/timeline.py`)."""


MOMENTS: Mapping[str, str] = {
    "address": "Addresses given",
    "complaint": "Complaints",
    "number": "Numbers given",
    "promise": "Promises",
    "question": "Questions",
    "thanks": "Thanks",
}


def second_text(when: str) -> str:
    """`12:39:07 UTC`. The page's script replaces it with the time in the reader's time zone."""
    return f"{datetime.fromisoformat(when).astimezone(UTC):%H:%M:%S} UTC"


def span_text(duration_ms: int | None) -> str:
    """A short duration with tenths: `0.4 s`, `41.2 s`, then `1:23`; empty for None."""
    if duration_ms is None:
        return ""
    return duration_text(duration_ms) if duration_ms >= 60_000 else f"{duration_ms / 1000:.1f} s"


def clock_text(when: str | datetime) -> str:
    """`22 Nov 2026, 12:39 UTC`. The page's script replaces it with the time in the reader's time zone."""
    moment = datetime.fromisoformat(when) if isinstance(when, str) else when
    return f"{moment.astimezone(UTC):%d %b %Y, %H:%M} UTC".lstrip("0")


def closed(value: object) -> object:
    """Text with its marks of direction (Unicode UAX 9) closed, so that a name cannot turn around what stands beside it."""
    if not isinstance(value, str) or value.isascii():
        return value
    isolates = sum(map(value.count, "\u2066\u2067\u2068")) - value.count("\u2069")
    embeddings = sum(map(value.count, "\u202a\u202b\u202d\u202e")) - value.count("\u202c")
    return value + "\u2069" * isolates + "\u202c" * embeddings


def label(name: str) -> str:
    """A name with a capital letter, for the start of a line."""
    return name[:1].upper() + name[1:]


def sentence(message: str) -> str:
    """A short message as a sentence: with a capital letter and a full stop."""
    return label(message) + ("" if message.endswith((".", "!", "?")) else ".")


def percent_text(share: float | None) -> str:
    return "" if share is None else f"{round(share * 100)}%"


def measure_text(value: float | None, kind: str) -> str:
    """A measure for the table: a `duration`, `seconds` with one decimal, a `percent` or a `figure`; a dash for None."""
    if value is None:
        return "–"
    if kind == "seconds":
        return f"{figure_text(value / 1000, 1)} s"
    if kind == "percent":
        return percent_text(value)
    return duration_text(int(value)) if kind == "duration" else figure_text(value)


def measures_text(head: Mapping[str, int | float | None] | None, agent: str) -> str:
    """What a row of the list says of a call's measures; empty without any. `agent` is the display name of the role."""
    if head is None or head["agent_ratio"] is None:
        return ""
    parts = [f"{agent} talks {percent_text(head['agent_ratio'])}"]
    if silence_ms := int(head["silence_ms"] or 0):
        parts.append(f"silence {duration_text(silence_ms)}")
    if interruptions := int(head["interruptions"] or 0):
        parts.append(f"{interruptions} {'interruption' if interruptions == 1 else 'interruptions'}")
    return " · ".join(parts)


def live_score_text(score: Mapping[str, int | float | None]) -> str:
    """How good the live transcript was, from the API's `live_score`; empty without counts."""
    sentences = []
    if words := score["words"]:
        same = score["same"] or 0
        sentences.append(
            f"The live transcript agrees with {same:,} of the {words:,} words of the final transcript"
            f" ({percent_text(same / words)})."
        )
    if shown := score["live_words"]:
        sentences.append(
            f"Of {shown:,} live words, {score['late'] or 0:,} appeared more than {LATE_MS / 1000:g} s after they were"
            f" spoken, and {score['retracted'] or 0:,} changed after they appeared."
        )
    return " ".join(sentences)


def figure_text(value: float, places: int = 0) -> str:
    """`1,234`; with one decimal place `12.5` and `12`: trailing zeros are dropped."""
    return f"{round(value, places):,.{places}f}".removesuffix(".0")


def month_text(month: str) -> str:
    """`November 2026` for `2026-11`."""
    return f"{date.fromisoformat(f'{month}-01'):%B %Y}"


def money_text(amount: float, currency: str, places: int = 4) -> str:
    """`$0.0245` for dollars, `0.0245 EUR` for others. Amounts of a single call need four decimal places."""
    return f"${amount:.{places}f}" if currency == "USD" else f"{amount:.{places}f} {currency}"
