"""Settings of the language model that analyses calls."""

from decimal import Decimal
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

from callreel.runtime.loopback import is_loopback
from callreel.settings.values import BaseAddress


class LanguageModelSettings(BaseSettings):
    """Which server analyses the text of calls. Without one, no text is sent anywhere."""

    title: ClassVar[str] = "Language model"

    language_model_url: BaseAddress | None = Field(
        default=None,
        description="Address of the API of an OpenAI-compatible chat server, such as http://127.0.0.1:11434/v1 for Ollama. Default: calls are not analysed.",
    )
    language_model: str | None = Field(
        default=None, description="Model that analyses calls, by its name on that server, such as qwen3:8b."
    )
    language_model_key: SecretStr | None = Field(
        default=None, description="API key for that server. Default: none, as for a local server."
    )
    language_model_allow_remote: bool = Field(
        default=False,
        description="Whether the language model's server may be on another machine, so that the text of calls is sent there.",
    )
    language_model_timeout_s: float = Field(
        default=300,
        gt=0,
        le=3600,
        description="How long the server may take for one answer, in seconds.",
    )
    price_language_model_input: Decimal | None = Field(
        default=None,
        ge=0,
        description="Price of a million tokens that are sent to the language model, in the currency of the prices. Default: costs are not shown.",
    )
    price_language_model_output: Decimal | None = Field(
        default=None,
        ge=0,
        description="Price of a million tokens of its answers.",
    )

    @model_validator(mode="after")
    def _check_language_model(self) -> "LanguageModelSettings":
        if self.language_model_url is None:
            return self
        if not self.language_model:
            raise ValueError("CALLREEL_LANGUAGE_MODEL should be set with CALLREEL_LANGUAGE_MODEL_URL")
        if not self.language_model_is_here and not self.language_model_allow_remote:
            raise ValueError(
                "CALLREEL_LANGUAGE_MODEL_URL sends text to another machine, which CALLREEL_LANGUAGE_MODEL_ALLOW_REMOTE does not allow"
            )
        return self

    @property
    def language_model_is_here(self) -> bool:
        """Whether the server is on this machine, by its loopback address."""
        return self.language_model_url is not None and is_loopback(urlsplit(self.language_model_url).hostname)
