"""Engines by name, imported on demand, so that an extra that is not installed costs nothing.

`asr/workers/host.py` loads and runs engines, in worker processes. An engine module has two functions:
`check(options) -> Capabilities`, quick and for any process, and `load(options) -> Engine`, for a worker. One whose model
has to be fetched also has `fetch(options, progress)`.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from callreel.asr.engine import Capabilities, Engine
from callreel.asr.engines.hub import NotFetchedError as NotFetchedError
from callreel.asr.engines.hub import Progress
from callreel.domain.errors import EngineError

Options = Mapping[str, str | int | float | bool]

_MODULES = {
    "faster-whisper": "callreel.asr.engines.faster_whisper",
    "openai": "callreel.asr.engines.openai_api",
}
_PREFIX = "python:"

KNOWN = tuple(_MODULES)
"""Names of the engines that come with Callreel."""


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """Which engine and how: plain values that travel to worker processes.

    `name` is one of `KNOWN`, or `python:` and the dotted name of a module with `check` and `load`. `options` may hold
    an API key and is therefore not shown.
    """

    name: str
    options: Options = field(default_factory=dict, repr=False)

    @property
    def module(self) -> str:
        """Dotted name of the engine's module. Raises EngineError for a name that is not known."""
        if self.name.startswith(_PREFIX):
            return self.name.removeprefix(_PREFIX)
        if self.name not in _MODULES:
            raise EngineError(
                f"expected an engine out of {', '.join(KNOWN)} (or python:your.module), got {self.name!r}"
            )
        return _MODULES[self.name]


def check(choice: EngineChoice) -> Capabilities:
    """What the chosen engine can do, without loading it.

    Raises EngineError, one line, if it is unknown, its extra is missing, its model is not there or it has no API key;
    NotFetchedError if all it lacks is a model that `prepare` would fetch. Makes no request.
    """
    return _module(choice).check(choice.options)


def capabilities(choice: EngineChoice) -> Capabilities:
    """What the engine can do, as far as its module can say without its model and its key."""
    module = _module(choice)
    if hasattr(module, "capabilities"):
        declared: Capabilities = module.capabilities(choice.options)
        return declared
    return Capabilities(
        choice.name, "", partials=False, word_times=False, confidence=False, runs_here=True, languages=()
    )


def knows(name: str, model: str) -> bool:
    """Whether `model`, a name or a folder, is one of engine `name`'s."""
    module = _module(EngineChoice(name))
    return bool(module.knows(model)) if hasattr(module, "knows") else False


def prepare(choice: EngineChoice, progress: Progress | None = None) -> Capabilities:
    """As `check`, but fetches the model where that is all that is missing. Blocking, perhaps for minutes."""
    try:
        return check(choice)
    except NotFetchedError:
        fetch(choice, progress)
        return check(choice)


def fetch(choice: EngineChoice, progress: Progress | None = None) -> Path | None:
    """Have the engine's model here; answers its folder, None for an engine without models. Raises EngineError."""
    module = _module(choice)
    got: Path | None = module.fetch(choice.options, progress) if hasattr(module, "fetch") else None
    return got


def models() -> dict[str, dict[str, int]]:
    """Engines that have models by name: the names with their megabytes."""
    modules = {name: importlib.import_module(module) for name, module in _MODULES.items()}
    return {name: module.MODELS for name, module in modules.items() if hasattr(module, "MODELS")}


def load(choice: EngineChoice) -> Engine:
    """The engine itself. For worker processes: this takes seconds and memory. Raises EngineError as `check` does."""
    return _module(choice).load(choice.options)


class _EngineModule(Protocol):
    def check(self, options: Options) -> Capabilities: ...

    def load(self, options: Options) -> Engine: ...


def _module(choice: EngineChoice) -> _EngineModule:
    try:
        module = importlib.import_module(choice.module)
    except ImportError as error:
        raise EngineError(
            f"engine {choice.name!r} needs the module {error.name}, which is missing"
        ) from error
    except (TypeError, ValueError) as error:
        raise EngineError(f"expected a dotted module name after python:, got {choice.name!r}") from error
    if not (hasattr(module, "check") and hasattr(module, "load")):
        raise EngineError(f"expected a module with check and load, {choice.module} has not got them")
    return cast(_EngineModule, module)
