"""Builds redaction from the settings: what is looked for, and the stage after a call."""

from callreel.app.offline import OfflineInstallation
from callreel.app.runtime import Runtime
from callreel.postcall.redaction import Redactor
from callreel.redaction.find import FindOptions
from callreel.review.redacting import Redacting, RedactionOptions
from callreel.settings import Settings
from callreel.settings.privacy import regions_of


def redaction_options(settings: Settings) -> RedactionOptions:
    """The policy and the recognizers of the settings."""
    find = FindOptions(regions_of(settings.caller_id), settings.redacted_kinds)
    return RedactionOptions(settings.redaction, find, settings.redaction_margin_ms)


def redactor_of(settings: Settings, runtime: Runtime | OfflineInstallation) -> Redactor:
    """The redact stage, with the finding and masking that it does first."""
    redacting = Redacting(runtime.database, runtime.publisher, runtime.clock, redaction_options(settings))
    return Redactor(
        runtime.database, runtime.blobs, runtime.carrier, runtime.clock, redacting,
        analyses=settings.language_model_url is not None,
    )  # fmt: skip
