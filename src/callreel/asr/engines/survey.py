"""What each engine can do here: usable, or what is missing, in words; and which is the best for a purpose.

It loads nothing and sends nothing. Figures behind the order of preference: docs/words.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from callreel.asr.engine import Capabilities
from callreel.asr.engines import registry
from callreel.asr.engines.registry import EngineChoice, NotFetchedError
from callreel.domain.errors import EngineError
from callreel.domain.events import Json


class Purpose(StrEnum):
    LIVE = "live"
    FINAL = "final"


ORDER = {
    Purpose.LIVE: ("faster-whisper", "openai"),
    Purpose.FINAL: ("faster-whisper", "openai"),
}
"""Best first."""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """One engine with its options. `missing` is one line without the engine's name, empty when it is usable."""

    choice: EngineChoice
    capabilities: Capabilities
    missing: str = ""
    to_fetch: bool = False
    """All that is missing is a model that can be fetched."""

    @property
    def name(self) -> str:
        return self.choice.name

    @property
    def usable(self) -> bool:
        return not self.missing


def facts(one: Surveyed) -> dict[str, Json]:
    """An engine as the command line and the API report it."""
    capabilities = one.capabilities
    return {
        "engine": one.name,
        "model": capabilities.model,
        "usable": one.usable,
        "missing": one.missing,
        "partials": capabilities.partials,
        "word_times": capabilities.word_times,
        "confidence": capabilities.confidence,
        "languages": list(capabilities.languages),
        "languages_on_request": list(capabilities.on_request),
        "batch": capabilities.batch,
        "hints": capabilities.hints,
        "cost_per_minute": capabilities.cost_per_minute,
        "runs_here": capabilities.runs_here,
    }


@dataclass(frozen=True, slots=True)
class Selected:
    """The engine that was picked, and why it and none that would be better."""

    choice: EngineChoice
    reason: str


def survey(choice: EngineChoice) -> Surveyed:
    """Whether it could be used now. A module of one's own that cannot be imported raises EngineError."""
    try:
        return Surveyed(choice, registry.check(choice))
    except EngineError as error:
        missing = str(error).removeprefix(f"engine {choice.name}: ").removeprefix(f"engine {choice.name} ")
        fetchable = isinstance(error, NotFetchedError)
        return Surveyed(choice, registry.capabilities(choice), missing, fetchable)


def select(found: Sequence[Surveyed], purpose: Purpose, *, elsewhere: bool, named: bool) -> Selected:
    """The best of `found` that is usable.

    One that sends audio to another machine is only taken with `elsewhere`, and a model that has to be fetched only with
    `named`: somebody named it, so its download is expected. Raises EngineError when nothing is left.
    """
    by_name = {one.name: one for one in found}
    passed: dict[str, str] = {}
    for name in ORDER[purpose]:
        one = by_name.get(name)
        if one is None:
            continue
        reason = _against(one, elsewhere, named)
        if reason is None:
            better = f"; {', '.join(passed)} cannot be used" if passed else ""
            return Selected(one.choice, f"the best available engine{better}")
        passed[name] = reason
    reasons = "; ".join(f"{name}: {reason}" for name, reason in passed.items())
    raise EngineError(f"no engine can be used for the {purpose} transcript: {reasons}")


def _against(one: Surveyed, elsewhere: bool, named: bool) -> str | None:
    if not one.usable and not (one.to_fetch and named):
        return one.missing
    if not one.capabilities.runs_here and not elsewhere:
        return "it sends audio to another machine, which CALLREEL_ENGINE_ALLOW_REMOTE does not allow"
    return None
