"""The words, numbers and times that pages show. Pure; used as filters by the templates.

What is stored is for programs (`in_progress`, `16101`, 83250 ms); what is said here is for people. Stored values that
are unknown here are shown as they are, never hidden.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime

import phonenumbers

from callreel.asr.delivery import LATE_MS
from callreel.domain.recording import Layer

VERDICTS: Mapping[str, str] = {
    "verified": "Verified",
    "explained": "Explained",
    "suspect": "Suspect",
}

VERDICT_MEANINGS: Mapping[str, str] = {
    "verified": "Two independent captures of this call agree: what was kept live, and the carrier's own recording.",
    "explained": "The captures differ, and the reason is known.",
    "suspect": "The captures differ and nothing explains it. Listen before you rely on this call.",
}

LIGHTS: Mapping[str, str] = {
    "waiting": "waiting",
    "recording": "recording",
    "paused": "paused",
    "fetching": "being fetched",
    "done": "kept",
    "repaired": "kept, repaired after a crash",
    "none": "none",
    "failed": "failed",
}

CLOUD_STATES: Mapping[str, str] = {
    "expected": "No word from the carrier yet. It reports the recording when the call ends.",
    "in_progress": "The carrier is recording.",
    "completed": "The carrier has finished its recording. It is being fetched and checked.",
    "stored": "Fetched from the carrier, checked and kept here.",
    "absent": "The carrier says that it has no recording of this call.",
    "failed": "The carrier says that its recording failed.",
    "parked": "The carrier has a recording, but it could not be fetched. It will be tried again when you ask for it.",
    "missing": "The carrier never reported a recording, and none is on its list.",
}

LAYER_NAMES: Mapping[Layer, str] = {
    Layer.LIVE_8K: "Live, 8 kHz",
    Layer.LIVE_16K: "Live, 16 kHz",
    Layer.CLOUD: "The carrier's recording, fetched",
    Layer.CLOUD_CHANNEL: "Its channels, one party each",
}

ROW_NAMES: Mapping[str, str] = {
    "transcripts": "Transcripts, live and final",
    "turns": "Turns of text",
    "words": "Words with their times",
    "finals": "Lines of live text",
    "revisions": "Corrections",
    "notes": "Notes and marks",
    "turn_index": "Rows of the search index",
    "live_events": "Events of the call",
    "holds": "Holds, with their reasons",
}
"""What people call the rows that hang on a call, by table."""

ERASURE_STEPS: Mapping[str, str] = {
    "requested": "Requested",
    "carrier": "Erasing at the carrier",
    "files": "Erasing the audio here",
    "rows": "Erasing text, numbers and notes",
    "done": "Erased",
}

AT_CARRIER: Mapping[str, str] = {
    "deleted": "deleted",
    "gone": "was gone already",
    "left": "left there, as asked",
}

CARRIER_ERRORS: Mapping[str, str] = {
    "16101": "the recording was too short to keep",
    "16102": "the recording was silent, and the account deletes silent ones",
}


def duration_text(duration_ms: int | None) -> str:
    """`1:23`, `1:02:03`; a dash when it is not known."""
    if duration_ms is None:
        return "–"
    minutes, seconds = divmod(duration_ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def position_fragment(position_ms: int) -> str:
    """A moment of a call as a media fragment, `t=12.3` (W3C Media Fragments URI 1.0, in seconds)."""
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
    """A telephone number with the spaces its country uses; anything else as it came."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def clock_text(when: str | datetime) -> str:
    """`22 Nov 2026, 12:39 UTC`: what a page says without script; with script the reader's own zone replaces it."""
    moment = datetime.fromisoformat(when) if isinstance(when, str) else when
    return f"{moment.astimezone(UTC):%d %b %Y, %H:%M} UTC".lstrip("0")


def sentence(fact: str) -> str:
    """A short fact, as messages have it, with a capital and a full stop."""
    return f"{fact[:1].upper()}{fact[1:]}" + ("" if fact.endswith((".", "!", "?")) else ".")


def percent_text(share: float | None) -> str:
    return "" if share is None else f"{round(share * 100)} %"


def live_score_text(score: Mapping[str, int | float | None]) -> str:
    """What reading along was worth, from the API's `live_score`: a sentence or two, empty where nothing was counted."""
    said = []
    if words := score["words"]:
        same = score["same"] or 0
        said.append(
            f"While the call went on, {same:,} of the final text's {words:,} words stood there already"
            f" ({percent_text(same / words)})."
        )
    if heard := score["live_words"]:
        said.append(
            f"Of {heard:,} words that could be read along, {score['late'] or 0:,} came later than {LATE_MS / 1000:g} s"
            f" after they were said, and {score['retracted'] or 0:,} were shown and then changed."
        )
    return " ".join(said)


def figure_text(value: float, places: int = 0) -> str:
    """`1,234`, with one place `12.5` and `12`: no more places than say something."""
    return f"{round(value, places):,.{places}f}".removesuffix(".0")


def month_text(month: str) -> str:
    """`November 2026` for `2026-11`."""
    return f"{date.fromisoformat(f'{month}-01'):%B %Y}"


def money_text(amount: float, currency: str, places: int = 4) -> str:
    """Amounts of a call are small, so four places: `$0.0245` for dollars, `0.0245 EUR` for others."""
    return f"${amount:.{places}f}" if currency == "USD" else f"{amount:.{places}f} {currency}"
