"""Reads settings from the command line, the environment and a file; reports a wrong one in one line."""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, TomlConfigSettingsSource

from callreel.domain.errors import SettingsError
from callreel.settings.lines import NOT_SET, default_shown, is_secret, shown
from callreel.settings.model import PREFIX, Settings, env_name, env_names
from callreel.settings.speech import AUTO, BUILT_IN_ENGINES, NO_ENGINE

CONFIG_NAME = "callreel.toml"
NOT_SETTINGS = frozenset({"CALLREEL_CONFIG", "CALLREEL_DEBUG", "CALLREEL_API_TOKEN"})


def load_settings(
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
) -> Settings:
    """Settings from command line, environment, file and defaults, in this order of precedence.

    Relative folders are resolved against `cwd`. Raises SettingsError with one line that names the setting.
    """
    folder = (cwd or Path.cwd()).absolute()
    _refuse_unknown_variables(environ)
    file = _config_file(environ, folder)
    layers: list[tuple[str, Mapping[str, object]]] = []
    if file is not None:
        layers.append((file.name, _from_file(file)))
    layers.append(("environment", _from_environment(environ)))
    layers.append(("command line", {k: v for k, v in (overrides or {}).items() if v is not None}))
    values: dict[str, object] = {}
    sources: dict[str, str] = {}
    for source, layer in layers:
        values.update(layer)
        sources.update(dict.fromkeys(layer, source))
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_one_line(error, sources)) from None
    settings = settings.model_copy(update={"data_dir": folder / settings.data_dir.expanduser()})
    settings._sources.update(sources)
    return settings


def check(settings: Settings) -> None:
    """Raise SettingsError for combinations that the carrier would reject or ignore."""
    from callreel.twilio import twiml

    twiml.check_stream_options(
        twiml.StreamOptions(
            url=settings.stream_url,
            track=settings.stream_track,
            status_callback=settings.url("/twilio/stream-status"),
        )
    )
    if settings.record:
        twiml.check_recording_options(
            twiml.RecordingOptions(
                status_callback=settings.url("/twilio/recording-status"),
                channels=settings.recording_channels,
                track=settings.recording_track,
                trim=settings.recording_trim,
                events=settings.recording_events,
            )
        )


def field_of(key: str) -> str | None:
    """The field that a key of the settings file sets, in any of its spellings."""
    return _keys().get(key.lower())


def _keys() -> dict[str, str]:
    """Maps every spelling of a setting, in lower case, to the name of its field."""
    keys = {}
    for name in Settings.model_fields:
        for env in env_names(name):
            keys[env.lower()] = name
            keys[env.lower().removeprefix(PREFIX.lower())] = name
        keys[name] = name
    return keys


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    known = {env for name in Settings.model_fields for env in env_names(name)}
    for variable in sorted(environ):
        if (
            not variable.startswith(PREFIX)
            or variable in known | NOT_SETTINGS
            or variable.startswith("CALLREEL_TEST_")
        ):
            continue
        raise SettingsError(f"{variable} is not a setting{_nearest(variable, known)}")


def _nearest(name: str, known: set[str]) -> str:
    # Compared without the prefix, which would make any two variables similar.
    by_rest = {item.removeprefix(PREFIX): item for item in sorted(known)}
    close = difflib.get_close_matches(name.removeprefix(PREFIX), by_rest, n=1, cutoff=0.75)
    return f"; did you mean {by_rest[close[0]]}?" if close else "; docs/settings.md lists all settings"


def _config_file(environ: Mapping[str, str], folder: Path) -> Path | None:
    """`CALLREEL_CONFIG`, which must exist, or `callreel.toml` in the working folder, which is optional."""
    named = environ.get("CALLREEL_CONFIG")
    if named:
        return folder / Path(named).expanduser()
    usual = folder / CONFIG_NAME
    return usual if usual.exists() else None


def _from_file(path: Path) -> dict[str, object]:
    keys = _keys()
    try:
        found = TomlConfigSettingsSource(Settings, toml_file=path)() if path.is_file() else None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the settings file {path}: {error}") from None
    if found is None:
        raise SettingsError(
            f"CALLREEL_CONFIG names {path}, which is not a file; create it or unset CALLREEL_CONFIG"
        )
    for key in found:
        if key.lower() not in keys:
            raise SettingsError(f"{key} in {path.name} is not a setting{_nearest(key, set(keys))}")
    return {keys[key.lower()]: value for key, value in found.items()}


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    keys = _keys()
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): value for name, value in environ.items() if value.strip()}
    return {keys[key.lower()]: value for key, value in source().items()}


def _one_line(error: ValidationError, sources: Mapping[str, str]) -> str:
    """The first error of validation: which setting, what was expected, what was given and what to do."""
    first, *more = error.errors(include_url=False)
    others = f" (and {len(more)} more)" if more else ""
    text = first["msg"].removeprefix("Value error, ")
    name = _keys().get(str(first["loc"][0]).lower()) if first["loc"] else None
    if name is None:
        return text + others
    if first["type"] == "string_pattern_mismatch":
        text = "should be " + _PATTERNS.get(name, f"like {first['ctx']['pattern']}")
    text = (
        text.replace("Input should", "should").replace("String should", "should").partition(", unable to")[0]
    )
    actual = "" if is_secret(name) else f", not {shown(first['input'])!r}"
    source = sources.get(name, "given")
    label = name if source.endswith(".toml") else env_name(name)
    default = default_shown(name)
    remedy = (
        "correct or remove it"
        if default == NOT_SET
        else f"correct it, or remove it for the default {default}"
    )
    return f"{label} ({source}) {text}{actual}; {remedy}{others}"


_ENGINES = f"{', '.join((AUTO, *BUILT_IN_ENGINES))} or python:your.module"
_PATTERNS = {
    "account_sid": "AC and 32 hex digits",
    "api_key_sid": "SK and 32 hex digits",
    "twiml_app_sid": "AP and 32 hex digits",
    "caller_id": "a number such as +15551234567",
    "callback_retry_policy": "all, or a list of 4xx,5xx,ct,rt separated by commas",
    "incoming_agent": "letters, digits and underscores",
    "engine": _ENGINES,
    "final_engine": _ENGINES,
    "fallback_engine": f"{AUTO}, {NO_ENGINE} or one of {', '.join(BUILT_IN_ENGINES)}",
    "engine_language": "a language code such as en, or detect",
    "price_currency": "a currency code such as USD",
}
