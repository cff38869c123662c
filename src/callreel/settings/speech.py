"""Settings of speech recognition: engines, vocabulary, voice activity detection."""

from typing import Annotated, ClassVar, Final, TypeAlias

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from callreel.asr.languages import normalized
from callreel.settings.values import BaseAddress, Options, Phrases

AUTO: Final = "auto"
NO_ENGINE: Final = "none"
BUILT_IN_ENGINES: Final = ("faster-whisper", "openai")
_BUILT_IN = "|".join(BUILT_IN_ENGINES)

EngineName: TypeAlias = Annotated[
    str, Field(pattern=rf"^({AUTO}|{_BUILT_IN}|python:[A-Za-z_][A-Za-z0-9_.]*)$")
]
"""A built-in engine, `auto` for the best usable one, or `python:` and the dotted name of your own module."""


class SpeechSettings(BaseSettings):
    """Which engines transcribe, and how speech is divided into segments."""

    title: ClassVar[str] = "Speech recognition"

    engine: EngineName = Field(
        default=AUTO,
        description="Engine of the live transcript: faster-whisper, openai, python:your.module, or auto for the best usable one.",
    )
    final_engine: EngineName | None = Field(
        default=None,
        description="Engine of the final transcript, or auto. Default: the engine of the live transcript.",
    )
    fallback_engine: str = Field(
        default=AUTO,
        pattern=rf"^({AUTO}|{NO_ENGINE}|{_BUILT_IN})$",
        description="Engine that takes over while the configured one fails: auto for the next best on this machine, or none.",
    )
    engine_allow_remote: bool = Field(
        default=False,
        description="Whether auto may select an engine that sends audio to another machine.",
    )
    engine_model: str | None = Field(
        default=None,
        description="Model that the engine loads, by name or folder. Default: the engine's own choice.",
    )
    engine_workers: int = Field(
        default=2, ge=1, le=64, description="Number of engine processes on this machine."
    )
    engine_language: str = Field(
        default="en",
        pattern=r"^([a-z]{2,3}|detect)$",
        description="Spoken language as a code or tag such as en or en-US, or detect to detect it in each segment.",
    )
    engine_options: Options = Field(
        default={},
        description="More options for the engine as name=value,name=value; prefix an option with a name for another engine, as openai.retries=5.",
    )
    dead_air_s: float = Field(
        default=5,
        ge=1,
        le=600,
        description="A silence of both parties of at least this length is listed for a call, in seconds.",
    )
    vocabulary: Phrases = Field(
        default=(),
        description="Custom vocabulary: words and names that engines should expect, separated by commas. Users can add more on the pages.",
    )
    openai_base_url: BaseAddress | None = Field(
        default=None,
        description="Address of an OpenAI-compatible speech server. Default: OpenAI's own server.",
    )
    openai_api_key: SecretStr | None = Field(
        default=None,
        validation_alias="OPENAI_API_KEY",
        description="API key for that speech server.",
    )
    live_transcript: bool = Field(
        default=True,
        description="Whether calls are transcribed live; if not, they are transcribed only after they end.",
    )
    vad_on_threshold: float = Field(
        default=0.5, gt=0, lt=1, description="Speech probability at which a segment opens."
    )
    vad_off_threshold: float = Field(
        default=0.35, gt=0, lt=1, description="Speech probability below which a segment may close."
    )
    vad_min_silence_ms: int = Field(
        default=500, ge=100, le=5000, description="Silence that closes a segment, in milliseconds."
    )
    vad_pre_ms: int = Field(
        default=500,
        ge=0,
        le=2000,
        description="Audio included before speech begins, in milliseconds.",
    )
    vad_post_ms: int = Field(
        default=450, ge=0, le=2000, description="Audio included after speech ends, in milliseconds."
    )

    @field_validator("engine_language", mode="before")
    @classmethod
    def _normalize_language(cls, value: object) -> object:
        return (normalized(value) or value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_speech(self) -> "SpeechSettings":
        if self.vad_off_threshold > self.vad_on_threshold:
            raise ValueError("CALLREEL_VAD_OFF_THRESHOLD should not be above CALLREEL_VAD_ON_THRESHOLD")
        if self.engine == AUTO and any("." not in option for option in self.engine_options):
            raise ValueError(
                "CALLREEL_ENGINE_OPTIONS with CALLREEL_ENGINE=auto should name the engine, as faster-whisper.device=cpu"
            )
        return self

    @property
    def final_engine_name(self) -> EngineName:
        return self.final_engine or self.engine
