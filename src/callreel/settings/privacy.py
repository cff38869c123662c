"""Settings of redaction."""

from typing import ClassVar

import phonenumbers
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from callreel.domain.redaction import Entity, RedactionPolicy


class PrivacySettings(BaseSettings):
    """What is redacted in transcripts and audio after a call."""

    title: ClassVar[str] = "Privacy"

    redaction: RedactionPolicy = Field(
        default=RedactionPolicy.OFF,
        description="Whether card numbers, phone numbers and the like are masked in text and silenced in audio after a call: off, keep_both (supervisors may see the originals), or redacted_only (the originals are destroyed, here and at the carrier).",
    )
    redaction_kinds: str = Field(
        default="all",
        description="What is redacted, as a list with commas: card_number, security_code, bank_account, national_id, email, phone, birth_date, address. Default: all.",
    )
    redaction_margin_ms: int = Field(
        default=250,
        ge=0,
        le=5000,
        description="How much audio is silenced before and after redacted words, in milliseconds.",
    )

    @field_validator("redaction_kinds")
    @classmethod
    def _check_kinds(cls, value: str) -> str:
        wrong = [name for name in _listed(value) if name != "all" and name not in _FOUND]
        if wrong or not _listed(value):
            raise ValueError(f"should be all, or a list of {', '.join(_FOUND)}")
        return value

    @property
    def redacted_kinds(self) -> frozenset[Entity]:
        """The kinds that are looked for."""
        names = _listed(self.redaction_kinds)
        return frozenset(_FOUND) if "all" in names else frozenset(map(Entity, names))


_FOUND = tuple(entity for entity in Entity if entity not in (Entity.NAME, Entity.OTHER))
"""Names need a model, and others a person."""


def _listed(value: str) -> list[str]:
    return [name.strip() for name in value.split(",") if name.strip()]


def regions_of(caller_id: str | None) -> tuple[str, ...]:
    """The countries whose phone numbers people say without a country code: the caller ID's own, else the United States."""
    try:
        region = phonenumbers.region_code_for_number(phonenumbers.parse(caller_id or ""))
    except phonenumbers.NumberParseException:
        region = None
    return (region or "US",)
