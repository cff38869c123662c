"""What became of each recording of an import. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from callreel.domain.ids import CallId
from callreel.imports.imported_calls import Standing


class Result(StrEnum):
    """What became of one recording."""

    IMPORTED = "imported"
    PRESENT = "already here"
    ERASED = "erased here before"
    OWN = "recorded by Callreel"
    ABSENT = "without audio"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the recording `name`. `detail` says why it failed, or describes it.

    `passing`: it failed for a reason that is not its own, such as a full disk, so trying again may succeed.
    """

    name: str
    result: Result
    detail: str = ""
    call_id: CallId | None = None
    passing: bool = False


BY_STANDING: Final[Mapping[Standing, Result]] = {
    Standing.STORED: Result.PRESENT,
    Standing.CAPTURED: Result.OWN,
    Standing.ERASED: Result.ERASED,
}
"""The results of recordings that are not imported."""
