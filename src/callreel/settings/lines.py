"""Settings as people see them: one line each with value, source and meaning. Secrets are masked."""

import re
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from callreel.settings.model import Settings, env_name

MASK = "********"
NOT_SET = "(not set)"


SECTIONS: Final = (
    ("data_dir", "Where things are kept"),
    ("public_url", "Where it is reached"),
    ("carrier_api_url", "The carrier's account"),
    ("stream_track", "How calls are recorded and streamed"),
    ("access_token_ttl_s", "The softphone"),
    ("agent_name", "Names of the roles"),
    ("engine", "Speech"),
    ("block_ms", "Limits and waits"),
    ("sync_every_s", "What is kept, and for how long"),
    ("price_recording_per_minute", "Prices"),
    ("log_level", "Log"),
)
"""The sections of the settings' module, each by its first setting."""


@dataclass(frozen=True, slots=True)
class SettingLine:
    """One setting as people see it. `source` is default, environment, command line or the name of the file."""

    section: str
    name: str
    env: str
    value_shown: str
    source: str
    meaning: str


def describe(settings: Settings) -> list[SettingLine]:
    """Every setting with value, source and meaning, in the order of this module. Secrets are masked."""
    begins = dict(SECTIONS)
    section, lines = "", []
    for name, field in Settings.model_fields.items():
        section = begins.get(name, section)
        lines.append(
            SettingLine(
                section,
                name,
                env_name(name),
                shown(getattr(settings, name), name),
                settings.sources.get(name, "default"),
                field.description or "",
            )
        )
    return lines


def default_shown(name: str) -> str:
    """The default of `name` as people see it."""
    return shown(Settings.model_fields[name].get_default(call_default_factory=True))


def is_secret(name: str) -> bool:
    """Whether the setting's value must not be shown."""
    return "SecretStr" in str(Settings.model_fields[name].annotation)


def shown(value: object, name: str = "") -> str:
    """`value` of the setting `name` for people: secrets and passwords within addresses are masked."""
    if value is None or value == () or value == {}:
        return NOT_SET if name != "work_queues" else "none"
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, dict) and all(isinstance(item, int) for item in value.values()):
        return ",".join(f"{key}={item}" for key, item in value.items())
    if isinstance(value, dict):
        return ", ".join(f"{key}={MASK}" for key in value)
    if isinstance(value, tuple):
        return " ".join(str(item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    return re.sub(r"(://)[^/@\s]+@", rf"\1{MASK}@", str(value))
