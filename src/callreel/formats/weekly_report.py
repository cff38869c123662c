"""The report of a week as text and as mail: counts, and the names of phrase rules and labels.

Neither has a number, a name of a person or a word of a call. The mail links to the pages of the calls to review, where
sign-in, roles and redaction apply.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import sha256
from html import escape
from typing import Any

from callreel.domain.events import Json

_POLICY = SMTP.clone(cte_type="7bit")
"""Any server accepts it, also one without 8BITMIME."""
_STYLE = "font-family:sans-serif;font-size:14px;line-height:1.4"

Rows = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends a mail to whom, and the address of the pages that it links to."""

    sender: str
    recipient: str
    public_url: str


def text_lines(found: Mapping[str, Json]) -> list[str]:
    """The report without its listed calls."""
    return [_title(found), *(f"{name}: {value}" for name, value in _rows(found))]


def as_mail(found: Mapping[str, Json], envelope: Envelope, zone: tzinfo, at: datetime) -> EmailMessage:
    """The report as a message with a plain text and an HTML part.

    The same report to the same recipient has the same Message-ID, so that a mailbox can recognise a repetition.
    """
    one: Any = found
    message = EmailMessage(_POLICY)
    message["Subject"] = f"Callreel: week {one['week']}, {one['volume']['calls']} calls"
    message["From"] = envelope.sender
    message["To"] = envelope.recipient
    message["Date"] = format_datetime(at)
    digest = sha256(f"{envelope.public_url} {envelope.recipient}".encode()).hexdigest()[:16]
    message["Message-ID"] = f"<week-{one['week']}-{digest}@{envelope.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answer of an absent person
    page = f"{envelope.public_url}/report?week={one['week']}&zone={one['zone']}"
    calls = [
        (
            f"{_local(call['created_at'], zone)}: {', '.join(map(_reason, call['review_reasons']))}",
            f"{envelope.public_url}/calls/{call['call_id']}",
        )
        for call in one["to_review"]["calls"]
    ]
    message.set_content(_text(found, calls, page))
    message.add_alternative(_html(found, calls, page), subtype="html")
    return message


def _title(found: Mapping[str, Json]) -> str:
    return f"Week {found['week']}, {found['from']} to {found['to']} ({found['zone']})"


def _rows(found: Mapping[str, Json]) -> Rows:
    one: Any = found
    volume, silences, before = one["volume"], one["silences"], one["silences_before"]
    review = one["to_review"]
    return [
        ("Calls", f"{volume['calls']} ({volume['calls_before']} the week before)"),
        ("Minutes", f"{volume['minutes']} ({volume['minutes_before']} the week before)"),
        *(
            ("Busiest", f"{hour['date']} {hour['hour']:02}:00, {hour['calls']} calls")
            for hour in one["busiest"]
        ),
        (
            "Silences",
            f"{silences['silences']}, {silences['silence_s']} s ({before['silences']}, {before['silence_s']} s the week before)",
        ),
        (
            "Verdicts",
            ", ".join(f"{name} {count}" for name, count in one["verdicts"].items() if count) or "none",
        ),
        *(
            (f"Alerts of {_one_line(alert['rule'])}", f"{alert['alerts']} in {alert['calls']} calls")
            for alert in one["alerts"]
        ),
        *(
            (
                f"Label {_one_line(label['name'])}",
                f"{label['calls']} ({label['calls_before']} the week before)",
            )
            for label in one["labels"]
        ),
        (
            "Calls to review",
            f"{review['total']}"
            + "".join(f", {reason} {count}" for reason, count in review["reasons"].items()),
        ),
    ]


def _text(found: Mapping[str, Json], calls: Rows, page: str) -> str:
    lines = [*text_lines(found), "", *(line for what, address in calls for line in (what, f"  {address}"))]
    return "\n".join([*lines, *([""] if calls else []), f"The whole report: {page}", ""])


def _html(found: Mapping[str, Json], calls: Rows, page: str) -> str:
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left;font-weight:normal;padding-right:16px">{escape(name)}</th><td>{escape(value)}</td></tr>\n'
        for name, value in _rows(found)
    )
    listed = "".join(f'<li><a href="{escape(address)}">{escape(what)}</a></li>\n' for what, address in calls)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(_title(found))}</title></head>\n'
        f'<body style="{_STYLE}">\n<h1 style="font-size:18px">{escape(_title(found))}</h1>\n<table>\n{rows}</table>\n'
        + (f'<h2 style="font-size:16px">Calls to review</h2>\n<ol>\n{listed}</ol>\n' if calls else "")
        + f'<p><a href="{escape(page)}">The whole report</a></p>\n</body></html>\n'
    )


def _reason(reason: Mapping[str, Any]) -> str:
    match reason["reason"]:
        case "suspect":
            return "verdict suspect"
        case "alert":
            return f"alert {_listed(reason['rules'])}"
        case "silence":
            return f"{round(reason['silence_ms'] / 1000)} s of silence"
        case _:
            return f"{reason['interruptions']} interruptions"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(_one_line, names))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _local(moment: str, zone: tzinfo) -> str:
    return f"{datetime.fromisoformat(moment).astimezone(zone):%Y-%m-%d %H:%M}"
