"""Reading one engine option as the type that is expected, with a clear line when it is not.

The names of the options are each engine module's own business; they are listed there.
"""

from collections.abc import Sequence

from callreel.asr.engines.registry import Options
from callreel.asr.languages import normalized
from callreel.domain.errors import EngineError


def reject_unknown(engine: str, options: Options, known: set[str]) -> None:
    """Refuse options that `engine` does not have, since a mistyped one would silently do nothing."""
    unknown = sorted(set(options) - known)
    if unknown:
        raise EngineError(
            f"engine {engine} has no option {unknown[0]!r}; it has {', '.join(sorted(known)) or 'none'}"
        )


def text(options: Options, name: str, default: str = "") -> str:
    return str(options.get(name, default))


def language(options: Options, default: str = "") -> str:
    """The code of the option `language`, which may be a name or a tag such as `en-US`; empty to detect it."""
    tag = text(options, "language", default)
    return normalized(tag) or tag


def phrases(options: Options, name: str) -> list[str]:
    """What stands between commas, without the spaces around it."""
    return [phrase.strip() for phrase in text(options, name).split(",") if phrase.strip()]


def one_of(options: Options, name: str, values: Sequence[str]) -> str:
    """The option, or the first of `values`. Raises EngineError if it is none of them."""
    value = text(options, name, values[0])
    if value not in values:
        raise EngineError(f"engine option {name}: expected one of {', '.join(values)}")
    return value


def whole(options: Options, name: str, default: int, *, least: int = 1) -> int:
    """An integer of at least `least`, also when it came as text."""
    try:
        value = int(options.get(name, default))
    except ValueError:
        value = least - 1
    if value < least:
        raise EngineError(f"engine option {name}: expected a whole number of at least {least}")
    return value


def number(options: Options, name: str, default: float, *, least: float | None = None) -> float:
    """A number of at least `least`, by default above 0, also when it came as text."""
    try:
        value = float(options.get(name, default))
    except ValueError:
        value = -1.0
    if not (value > 0 if least is None else value >= least):
        raise EngineError(
            f"engine option {name}: expected a number "
            + ("above 0" if least is None else f"of at least {least:g}")
        )
    return value


def flag(options: Options, name: str, default: bool) -> bool:
    """A yes or no, also when it came as text."""
    value = str(options.get(name, default)).lower()
    if value not in ("true", "false", "1", "0", "yes", "no"):
        raise EngineError(f"engine option {name}: expected true or false")
    return value in ("true", "1", "yes")
