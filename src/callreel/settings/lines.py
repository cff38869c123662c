"""Settings as text for people, one line each with value, source and description. Secrets are masked."""

import re
from dataclasses import dataclass

from pydantic import SecretStr

from callreel.settings.model import Settings, env_name, section_title

MASK = "********"
NOT_SET = "(not set)"


@dataclass(frozen=True, slots=True)
class SettingLine:
    """One setting as text. `source` is default, environment, command line or the name of the file."""

    section: str
    name: str
    env: str
    value_shown: str
    source: str
    meaning: str


def describe(settings: Settings) -> list[SettingLine]:
    """Every setting with value, source and description, in the order of the sections."""
    return [
        SettingLine(
            section_title(name),
            name,
            env_name(name),
            shown(getattr(settings, name), name),
            settings.sources.get(name, "default"),
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]


def default_shown(name: str) -> str:
    """The default of `name` as text."""
    field = Settings.model_fields[name]
    return shown(field.get_default(call_default_factory=True, validated_data={"port": 8000}))


def is_secret(name: str) -> bool:
    """Whether the setting's value must not be shown."""
    return "SecretStr" in str(Settings.model_fields[name].annotation)


def shown(value: object, name: str = "") -> str:
    """`value` of the setting `name` as text: secrets and passwords within addresses are masked."""
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
