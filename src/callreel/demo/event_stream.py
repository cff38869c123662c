"""Parses server-sent events (HTML standard, section 9.2.6).

Handles what Callreel's server sends: `id`, `event`, `data` and comments, with lines ending in LF.
"""

import json
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from callreel.domain.events import Json


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """`id` is what a reconnect sends as `Last-Event-ID`; `data` is parsed JSON."""

    kind: str
    data: dict[str, Json]
    id: str


async def events(lines: AsyncIterable[str]) -> AsyncIterator[ServerEvent]:
    """The events in `lines` (without line ends). Data other than a JSON object is ignored."""
    kind, last_id = "message", ""
    data: list[str] = []
    async for line in lines:
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                kind = value
            elif name == "id":
                last_id = value
            elif name == "data":
                data.append(value)
            continue
        parsed = _parsed("\n".join(data))
        if parsed is not None:
            yield ServerEvent(kind, parsed, last_id)
        kind, data = "message", []


def _parsed(text: str) -> dict[str, Json] | None:
    try:
        value = json.loads(text) if text else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
