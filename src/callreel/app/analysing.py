"""Builds the analyse stage from the settings: the language model's server, and what is reported of it."""

from callreel.app.offline import OfflineInstallation
from callreel.app.runtime import Runtime
from callreel.domain.errors import LanguageModelError
from callreel.language_model.chat_server import ChatAccess, ChatServer
from callreel.language_model.usage import TokenPrices
from callreel.postcall.analysing import Analysing
from callreel.review.model_access import ModelAccess
from callreel.runtime.stage_times import StageTimes
from callreel.settings import Settings


def chat_server(settings: Settings) -> ChatServer | None:
    """The server of the settings, which the caller closes; None without one."""
    if settings.language_model_url is None or settings.language_model is None:
        return None
    key = settings.language_model_key
    return ChatServer(
        ChatAccess(
            settings.language_model_url,
            settings.language_model,
            key.get_secret_value() if key else "",
            settings.language_model_timeout_s,
        )
    )


def analysing_of(
    settings: Settings,
    runtime: Runtime | OfflineInstallation,
    server: ChatServer | None,
    times: StageTimes | None = None,
) -> Analysing:
    """The analyse stage."""
    return Analysing(
        runtime.database, runtime.publisher, runtime.clock, server, _prices(settings), times,
        redacts=settings.redaction.redacts,
    )  # fmt: skip


def model_access_of(settings: Settings, runtime: Runtime, server: ChatServer | None) -> ModelAccess | None:
    """For answers that people wait for; None without a server."""
    if server is None:
        return None
    return ModelAccess(
        runtime.database, runtime.clock, server, _prices(settings), redacts=settings.redaction.redacts
    )


def _prices(settings: Settings) -> TokenPrices:
    return TokenPrices(
        settings.price_language_model_input, settings.price_language_model_output, settings.price_currency
    )


def language_model_fault(settings: Settings) -> str | None:
    """Ask the server for its models: what is wrong, in words, or None. It waits a few seconds at most."""
    server = chat_server(settings)
    if server is None:
        return None
    try:
        offered = server.models()
    except LanguageModelError as error:
        return str(error)
    finally:
        server.close()
    model = server.access.model
    if not {model, f"{model}:latest"} & set(offered):  # Ollama's name of a model without a tag
        return f"the server does not offer {model}"
    return None
