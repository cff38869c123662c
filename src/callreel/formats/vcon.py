"""A call as a vCon: the IETF's JSON container for conversations, in its unsigned form. Pure.

After draft-ietf-vcon-vcon-core-03 (1 July 2026), syntax version 0.4.0. Audio is referenced by address and SHA-512; fetching
it needs rights of its own. Parties are the agent (0), the technician (1) and Callreel (2), which adds analysis and
attachments. Section names in comments are the draft's.
"""

import base64
import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from callreel.domain.call import Direction, Role
from callreel.domain.events import Json
from callreel.domain.json_time import json_time

SYNTAX: Final = "0.4.0"
MEDIA_TYPE: Final = "application/vcon+json"
_VENDOR: Final = "Callreel"
_PARTY: Final = {Role.AGENT: 0, Role.TECHNICIAN: 1}
_CALLREEL: Final = 2
_DISPOSITIONS: Final = {"busy": "busy", "no-answer": "no-answer", "canceled": "hung-up"}
"""By the status of the dialed leg; all others are `failed` ("disposition")."""


@dataclass(frozen=True, slots=True)
class Audio:
    """A file of the call as its reader gets it. `channels` has the role on each; empty if one channel has both parties."""

    name: str
    url: str
    sha512: bytes
    duration_ms: int
    channels: tuple[Role, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """What a vCon contains of a call. `document` is its JSON of the API, with words; `began` is where its clock begins.

    `withheld`: audio exists, but may not be read yet. `redacted`: words are masked and audio is silent. `original_exists`
    says whether the originals were not destroyed.
    """

    document: Mapping[str, Any]
    began: datetime
    audio: Sequence[Audio]
    dialed_status: str | None
    names: Mapping[Role, str]
    redacted: bool
    withheld: bool
    original_exists: bool


def vcon_json(call: Call, host: str) -> str:
    """The whole file. `host` is the domain of this installation, which makes identifiers unique."""
    return json.dumps(vcon(call, host), ensure_ascii=False, indent=2) + "\n"


def vcon(call: Call, host: str) -> dict[str, Json]:
    """The container as JSON."""
    document = call.document
    container: dict[str, Json] = {
        "vcon": SYNTAX,
        "uuid": identifier(document["call_id"], call.began, host, redacted=call.redacted),
        "created_at": document["created_at"],
        "subject": f"Call {document['call_id']}",
        "parties": _parties(call),
        "dialog": _dialog(call),
        "analysis": _analysis(call),
        "attachments": _attachments(call),
    }
    if call.redacted:
        less: dict[str, Json] = {"type": "sensitive data"}
        if call.original_exists:
            less["uuid"] = identifier(document["call_id"], call.began, host, redacted=False)
        container["redacted"] = less
    return container


def identifier(call_id: str, began: datetime, host: str, *, redacted: bool) -> str:
    """The same for each export of a call: a version 8 UUID of time, call and domain ("uuid")."""
    millis = int(began.timestamp() * 1000) & ((1 << 48) - 1)
    form = "redacted" if redacted else "original"
    middle = int.from_bytes(hashlib.sha256(f"{call_id} {form}".encode()).digest()[:2]) >> 4
    domain = int.from_bytes(hashlib.sha1(host.encode(), usedforsecurity=False).digest()[:8]) >> 2
    return str(uuid.UUID(int=millis << 80 | 8 << 76 | middle << 64 | 2 << 62 | domain))


def _parties(call: Call) -> list[Json]:
    document = call.document
    technician: dict[str, Json] = {
        "tel": document["number"],
        "name": document.get("number_name") or call.names[Role.TECHNICIAN],
    }
    return [
        {
            "name": document["agent"],
            "type": "person",
            "validation": "none" if document["imported"] else "sign-in",
        },
        {**technician, "type": "person", "validation": "none"},
        {"name": _VENDOR, "type": "organization"},
    ]


def _dialog(call: Call) -> list[Json]:
    start = json_time(call.began)
    if call.audio:
        return [_recording(call, audio, start) for audio in call.audio]
    if call.document["answered_at"] is None and call.document["ended_at"] is not None:
        reason = _DISPOSITIONS.get(call.dialed_status or "", "failed")
        return [{"type": "incomplete", "start": start, "parties": _first(call), "disposition": reason}]
    if call.withheld:  # "Dialog Content": it may be absent while redacted
        return [{"type": "recording", "start": start, "parties": _first(call)}]
    return []


def _recording(call: Call, audio: Audio, start: Json) -> Json:
    parties: list[Json] = [_PARTY[role] for role in audio.channels] or _first(call)
    digest = base64.urlsafe_b64encode(audio.sha512).decode().rstrip("=")
    dialog: dict[str, Json] = {
        "type": "recording",
        "start": start,
        "duration": audio.duration_ms / 1000,
        "parties": parties if len(parties) > 1 else parties[0],
        "mediatype": "audio/x-wav",
        "filename": f"{audio.name}.wav",
        "url": audio.url,
        "content_hash": f"sha512-{digest}",
    }
    return dialog if parties[0] == _first(call)[0] else {**dialog, "originator": _first(call)[0]}


def _first(call: Call) -> list[Json]:
    """Both parties, the caller first ("parties")."""
    outgoing = call.document["direction"] == Direction.OUTGOING
    return [0, 1] if outgoing else [1, 0]


def _analysis(call: Call) -> list[Json]:
    document, found = call.document, list[Json]()
    turns = document["turns"] or document["live_turns"]
    made = document["transcript"] if document["turns"] else None
    about = _about(call)
    if turns:
        listed: list[Json] = [{**turn, "party": _PARTY[Role(turn["role"])]} for turn in turns]
        body: dict[str, Json] = {
            "kind": "final" if made else "live", "language": document["language"], "revision": document["revision"],
            "turns": listed,
        }  # fmt: skip
        product = f"{made['engine']} {made['model']}".strip() if made else "live transcription"
        found.append(
            {"type": "transcript", **about, **_inline(body), "vendor": _VENDOR, "product": product,
             "schema": "callreel-transcript-1"}
        )  # fmt: skip
    if document["topic"] or document["moments"]:
        said: dict[str, Json] = {"topic": document["topic"], "moments": document["moments"]}
        found.append(
            {"type": "report", **about, **_inline(said), "vendor": _VENDOR, "schema": "callreel-insight-1"}
        )
    if document["analysis"] is not None:
        summary = document["analysis"]
        found.append(
            {"type": "summary", **about, **_inline(summary), "vendor": _VENDOR, "product": summary["model"],
             "schema": "callreel-analysis-1"}
        )  # fmt: skip
    if document["verdict"] is not None:
        judged: dict[str, Json] = {
            "verdict": document["verdict"],
            "reasons": document["reasons"],
            "comparisons": document["comparisons"],
        }
        found.append(
            {"type": "report", **about, **_inline(judged), "vendor": _VENDOR, "schema": "callreel-verdict-1"}
        )
    return found


def _attachments(call: Call) -> list[Json]:
    document = call.document
    kept = (("consent", document["consent"]), ("pauses", document["pauses"]), ("notes", document["notes"]))
    about: dict[str, Json] = {"dialog": 0} if _dialog(call) else {}
    return [
        {"purpose": purpose, "start": json_time(call.began), "party": _CALLREEL, **about, **_inline(body)}
        for purpose, body in kept
        if body
    ]


def _about(call: Call) -> dict[str, Json]:
    numbers: list[Json] = list(range(len(call.audio)))
    return {"dialog": numbers if len(numbers) > 1 else 0} if numbers else {}


def _inline(body: Json) -> dict[str, Json]:
    """As "Inline Files" says."""
    return {"mediatype": "application/json", "encoding": "json", "body": body}


def began_at(created: datetime, answered: datetime | None, recording: datetime | None) -> datetime:
    """Where the call's clock begins: with the recording, else with the answer."""
    return recording or answered or created
