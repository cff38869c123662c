"""The moments of a call as JSON, for the API, the pages and exports. They are found when they are read and never stored, so
that what is corrected, masked or erased in the transcript is so in the moments."""

from collections.abc import Sequence

from callreel.domain.events import Json
from callreel.domain.transcript import Turn
from callreel.insight.moments import find_moments


def moment_summaries(turns: Sequence[Turn], language: str) -> list[Json]:
    """Of the final transcript as displayed, in the language with this code, empty if unknown."""
    return [
        {
            "kind": moment.kind.value,
            "role": moment.role.value,
            "start_ms": moment.start_ms,
            "end_ms": moment.end_ms,
            "text": moment.text,
        }
        for moment in find_moments(turns, language)
    ]
