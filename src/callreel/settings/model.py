"""All settings as one frozen object, composed of the sections in the modules beside this one.

`Settings(...)` itself reads nothing; `load` adds environment and file. Packages below the composition root receive plain
values, never this object.
"""

import re
from urllib.parse import unquote

from pydantic import PrivateAttr, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from callreel.settings.access import AuditSettings, ProviderSettings, SessionSettings
from callreel.settings.carrier import (
    AccountSettings,
    AddressSettings,
    CallSettings,
    PauseSettings,
    PriceSettings,
    SoftphoneSettings,
)
from callreel.settings.language import LanguageModelSettings
from callreel.settings.limits import LimitSettings, LogSettings
from callreel.settings.mail import MailSettings
from callreel.settings.privacy import PrivacySettings
from callreel.settings.speech import SpeechSettings
from callreel.settings.storage import EncryptionSettings, RetentionSettings, StorageSettings
from callreel.settings.webhooks import WebhookSettings

PREFIX = "CALLREEL_"

_SECRET_OPTION = re.compile(r"key|secret|token|password", re.IGNORECASE)
_PASSWORD = re.compile(r"://[^/@:\s]*:([^/@\s]+)@")
"""The password within an address."""

SECTIONS: tuple[type[BaseSettings], ...] = (
    StorageSettings,
    EncryptionSettings,
    AddressSettings,
    AccountSettings,
    CallSettings,
    SoftphoneSettings,
    SpeechSettings,
    LanguageModelSettings,
    LimitSettings,
    PauseSettings,
    RetentionSettings,
    PrivacySettings,
    SessionSettings,
    ProviderSettings,
    AuditSettings,
    WebhookSettings,
    MailSettings,
    PriceSettings,
    LogSettings,
)


class Settings(  # pydantic collects fields from the last base to the first, so the first section comes last
    LogSettings,
    PriceSettings,
    MailSettings,
    WebhookSettings,
    AuditSettings,
    ProviderSettings,
    SessionSettings,
    PrivacySettings,
    RetentionSettings,
    PauseSettings,
    LimitSettings,
    LanguageModelSettings,
    SpeechSettings,
    SoftphoneSettings,
    CallSettings,
    AccountSettings,
    AddressSettings,
    EncryptionSettings,
    StorageSettings,
):
    """All settings of one installation. Secrets are `SecretStr`, so that printing them shows nothing."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=PREFIX,
        populate_by_name=True,
        env_ignore_empty=True,
        cli_parse_args=False,
    )

    _sources: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    @model_validator(mode="after")
    def _check_pairs(self) -> "Settings":
        for first, second in (
            ("api_key_sid", "api_key_secret"),
            ("object_store_key_id", "object_store_secret"),
        ):
            if (getattr(self, first) is None) != (getattr(self, second) is None):
                raise ValueError(f"{env_name(first)} and {env_name(second)} should be set together")
        for needed in ("oidc_client_id", "oidc_roles"):
            if (self.oidc_issuer is None) != (getattr(self, needed) is None):
                raise ValueError(f"CALLREEL_OIDC_ISSUER and {env_name(needed)} should be set together")
        if not self.local_accounts and self.oidc_issuer is None:
            raise ValueError("CALLREEL_LOCAL_ACCOUNTS may be off only with CALLREEL_OIDC_ISSUER")
        sources = ("encryption_keys", "encryption_keys_file", "encryption_keys_command")
        if sum(getattr(self, name) is not None for name in sources) > 1:
            raise ValueError(f"only one of {', '.join(map(env_name, sources))} should be set")
        return self

    @property
    def sources(self) -> dict[str, str]:
        """Where each setting that is not a default came from: environment, command line or a file's name."""
        return self._sources

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret in clear text, for the log's filter. Never print it."""
        found = list[str]()
        for name in type(self).model_fields:
            value = getattr(self, name)
            for key, each in value.items() if isinstance(value, dict) else [("", value)]:
                if isinstance(each, SecretStr):
                    found.append(each.get_secret_value())
                elif _SECRET_OPTION.search(key):
                    found.append(str(each))
                elif isinstance(each, str):
                    found += [part for raw in _PASSWORD.findall(each) for part in (raw, unquote(raw))]
        masters = self.encryption_keys.get_secret_value() if self.encryption_keys else ""
        found += [key for pair in masters.split(",") if (key := pair.partition("=")[2].strip())]
        return tuple(dict.fromkeys(found))


def section_title(name: str) -> str:
    """The title of the section that setting `name` belongs to."""
    return next(str(section.__dict__["title"]) for section in SECTIONS if name in section.model_fields)


def env_names(name: str) -> tuple[str, ...]:
    """The environment variables that set `name`, the recommended one first."""
    carrier_name = Settings.model_fields[name].validation_alias
    ours = PREFIX + name.upper()
    return (carrier_name, ours) if isinstance(carrier_name, str) else (ours,)


def env_name(name: str) -> str:
    """The recommended environment variable for `name`."""
    return env_names(name)[0]
