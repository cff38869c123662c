"""Selects ASR engines by the settings: for the live transcript, for the final transcript, and as their fallback.

Nothing is loaded or downloaded here. Engines receive plain options, never the settings.
"""

from collections.abc import Sequence
from dataclasses import replace

from callreel.asr.engine import Capabilities
from callreel.asr.engines import registry
from callreel.asr.engines.registry import EngineChoice
from callreel.asr.engines.survey import Purpose, Selected, Surveyed, select, survey
from callreel.audio.segmenter import SegmenterOptions
from callreel.domain.errors import SettingsError
from callreel.settings.model import Settings
from callreel.settings.speech import AUTO, NO_ENGINE

_WITH_LANGUAGE = ("faster-whisper", "openai")
_WITH_HINTS = registry.KNOWN


def live_segmenter(settings: Settings) -> SegmenterOptions:
    """How speech is cut into segments during a call."""
    return SegmenterOptions(
        on=settings.vad_on_threshold,
        off=settings.vad_off_threshold,
        min_silence_ms=settings.vad_min_silence_ms,
        pre_ms=settings.vad_pre_ms,
        post_ms=settings.vad_post_ms,
    )


def engine_choice(settings: Settings, name: str, hints: Sequence[str] = ()) -> EngineChoice:
    """The named engine with its options from the settings; `hints` are the custom vocabulary.

    An option of CALLREEL_ENGINE_OPTIONS applies to the engine of the live transcript, or to the engine that prefixes it:
    `openai.timeout_s=20`. CALLREEL_ENGINE_MODEL applies to that engine too, and to every engine with a model of that name.
    """
    options: dict[str, str | int | float | bool] = {}
    if settings.engine_model and (name == settings.engine or _has_model(name, settings.engine_model)):
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
    """The engine of a spec `name,option=value,…`; its options override the settings. Raises SettingsError."""
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
    """The language that a spec sets for all calls; empty if each call keeps its own."""
    named = [pair.partition("=")[2].strip() for pair in spec.split(",") if pair.startswith(f"{LANGUAGE}=")]
    return named[-1] if named else ""


def spec_in(spec: str, language: str, capabilities: Capabilities) -> str:
    """The spec that transcribes all calls in `language`. Raises LanguageError if the engine does not support it."""
    capabilities.language_option(language)
    return f"{spec},{LANGUAGE}={language}" if capabilities.on_request else spec


def spec_of(choice: EngineChoice) -> str:
    """A spec for the same engine and model that does not depend on the settings of the process that reads it."""
    return f"{choice.name},model={choice.options['model']}" if "model" in choice.options else choice.name


def surveyed(settings: Settings, hints: Sequence[str] = ()) -> list[Surveyed]:
    """Every built-in engine, and the user's own engines that the settings name."""
    own = [name for name in (settings.engine, settings.final_engine_name) if name.startswith("python:")]
    return [survey(engine_choice(settings, name, hints)) for name in dict.fromkeys([*registry.KNOWN, *own])]


def engine_for(settings: Settings, purpose: Purpose, hints: Sequence[str] = ()) -> Selected:
    """The engine of the live or the final transcript. Raises EngineError if `auto` finds no usable one."""
    name = settings.engine if purpose is Purpose.LIVE else settings.final_engine_name
    if name != AUTO:
        return Selected(engine_choice(settings, name, hints), "named by the settings")
    named = settings.engine_model is not None
    return select(surveyed(settings, hints), purpose, elsewhere=settings.engine_allow_remote, named=named)


def fallback_for(
    settings: Settings, first: EngineChoice, purpose: Purpose, hints: Sequence[str] = ()
) -> EngineChoice | None:
    """The engine that takes over when `first` fails: with `auto` the next best local one. None: no fallback."""
    name = settings.fallback_engine
    if name in (NO_ENGINE, first.name):
        return None
    if name != AUTO:
        return engine_choice(settings, name, hints)
    others = [one for one in surveyed(settings, hints) if one.name != first.name and one.usable]
    if not any(one.capabilities.runs_here and one.name in registry.KNOWN for one in others):
        return None
    return select(others, purpose, elsewhere=False, named=False).choice


def _has_model(name: str, model: str) -> bool:
    return not name.startswith("python:") and registry.knows(name, model)
