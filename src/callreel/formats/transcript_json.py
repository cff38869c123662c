"""A transcript as JSON for programs: properties of the call, then turns with their words and times."""

import json
from collections.abc import Iterable, Mapping

from callreel.domain.events import Json
from callreel.domain.transcript import Turn


def transcript_json(head: Mapping[str, Json], turns: Iterable[Turn]) -> str:
    """The whole file: `head` and the key `turns`. Positions are milliseconds from the start of the call."""
    return json.dumps({**head, "turns": [_turn(turn) for turn in turns]}, ensure_ascii=False, indent=2) + "\n"


def _turn(turn: Turn) -> dict[str, Json]:
    return {
        "role": turn.role.value,
        "start_ms": turn.start_ms,
        "end_ms": turn.end_ms,
        "text": turn.text,
        "confidence": turn.confidence,
        "words": [
            {
                "text": word.text,
                "start_ms": word.start_ms,
                "end_ms": word.end_ms,
                "confidence": word.confidence,
            }
            for word in turn.words
        ],
    }
