"""Engines as the settings want them: each with its options, and which one hears live, which after the call, which stands in.

Nothing is loaded or fetched here. Engines themselves know nothing of settings: they get plain options.
"""

from collections.abc import Sequence
from dataclasses import replace

from callreel.asr.engine import Capabilities
from callreel.asr.engines import registry
from callreel.asr.engines.registry import EngineChoice
from callreel.asr.engines.survey import Purpose, Selected, Surveyed, select, survey
from callreel.domain.errors import SettingsError
from callreel.settings.model import AUTO, NO_ENGINE, Settings

_WITH_LANGUAGE = ("faster-whisper", "openai")
_WITH_HINTS = registry.KNOWN


def engine_choice(settings: Settings, name: str, hints: Sequence[str] = ()) -> EngineChoice:
    """The named engine with those of its options that are settings, and with words to expect.

    CALLREEL_ENGINE_OPTIONS are meant for the engine of the live transcript, or for the one that stands before the name:
    `openai.timeout_s=20`. CALLREEL_ENGINE_MODEL goes to it too, and to every engine that knows a model of that name.
    """
    options: dict[str, str | int | float | bool] = {}
    if settings.engine_model and (name == settings.engine or _knows(name, settings.engine_model)):
        options["model"] = settings.engine_model
    if name in _WITH_LANGUAGE:
        options["language"] = "" if settings.engine_language == "detect" else settings.engine_language
    if name in _WITH_HINTS and hints:
        options["hints"] = ", ".join(hints)
    if name == "openai":
        if settings.openai_base_url:
            options["base_url"] = settings.openai_base_url
        else:
            options["price_per_minute"] = float(settings.price_transcription_per_minute)
        if settings.openai_api_key:
            options["api_key"] = settings.openai_api_key.get_secret_value()
    for key, value in settings.engine_options.items():
        engine, dot, option = key.rpartition(".")
        if name == (engine if dot else settings.engine):
            options[option] = value
    return EngineChoice(name, options)


def engine_by_spec(settings: Settings, spec: str, hints: Sequence[str] = ()) -> EngineChoice:
    """`name,option=value,…`: the named engine as the settings have it, with these options. Raises SettingsError."""
    name, *pairs = spec.split(",")
    choice = (
        engine_for(settings, Purpose.LIVE, hints).choice
        if name == AUTO
        else engine_choice(settings, name, hints)
    )
    options: dict[str, str | int | float | bool] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise SettingsError(f"expected --engine NAME,OPTION=VALUE, got {pair!r} after the name")
        options[key.strip()] = value.strip()
    return replace(choice, options={**choice.options, **options})


LANGUAGE = "language"


def language_in(spec: str) -> str:
    """The language that a spec names for all calls; empty where each is heard in its own."""
    named = [pair.partition("=")[2].strip() for pair in spec.split(",") if pair.startswith(f"{LANGUAGE}=")]
    return named[-1] if named else ""


def spec_in(spec: str, language: str, able: Capabilities) -> str:
    """The spec for hearing all calls in one language, given what the engine can do. Raises LanguageError."""
    able.asked_for(language)
    return f"{spec},{LANGUAGE}={language}" if able.on_request else spec


def spec_of(choice: EngineChoice) -> str:
    """A spec for the same engine and model, also in a process whose settings name another model."""
    return f"{choice.name},model={choice.options['model']}" if "model" in choice.options else choice.name


def surveyed(settings: Settings, hints: Sequence[str] = ()) -> list[Surveyed]:
    """Every engine that comes with Callreel, and one of the user's own that the settings name."""
    own = [name for name in (settings.engine, settings.final_engine_name) if name.startswith("python:")]
    return [survey(engine_choice(settings, name, hints)) for name in dict.fromkeys([*registry.KNOWN, *own])]


def engine_for(settings: Settings, purpose: Purpose, hints: Sequence[str] = ()) -> Selected:
    """Who hears live, or after the call. Raises EngineError if `auto` finds none."""
    name = settings.engine if purpose is Purpose.LIVE else settings.final_engine_name
    if name != AUTO:
        return Selected(engine_choice(settings, name, hints), "named in the settings")
    named = settings.engine_model is not None
    return select(surveyed(settings, hints), purpose, elsewhere=settings.engine_elsewhere, named=named)


def standing_in(
    settings: Settings, first: EngineChoice, purpose: Purpose, hints: Sequence[str] = ()
) -> EngineChoice | None:
    """Who takes over when `first` fails; by default the next best that is usable and runs here. None for nobody."""
    name = settings.fallback_engine
    if name in (NO_ENGINE, first.name):
        return None
    if name != AUTO:
        return engine_choice(settings, name, hints)
    others = [one for one in surveyed(settings, hints) if one.name != first.name and one.usable]
    return select(others, purpose, elsewhere=False, named=False).choice if _any_here(others) else None


def _any_here(found: Sequence[Surveyed]) -> bool:
    return any(one.capabilities.runs_here and one.name in registry.KNOWN for one in found)


def _knows(name: str, model: str) -> bool:
    return not name.startswith("python:") and registry.knows(name, model)
