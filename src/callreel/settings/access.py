"""Settings of sessions and of the audit trail."""

from typing import ClassVar

from pydantic import Field
from pydantic_settings import BaseSettings


class SessionSettings(BaseSettings):
    """How long people stay signed in."""

    title: ClassVar[str] = "Sessions"

    session_hours: float = Field(
        default=12,
        gt=0,
        le=8760,
        description="Lifetime of a session in hours, after which people sign in again.",
    )
    session_idle_minutes: float | None = Field(
        default=None,
        gt=0,
        le=525_600,
        description="A session without a request for this many minutes ends; live updates of an open page do not count. Default: only its lifetime ends it.",
    )


class AuditSettings(BaseSettings):
    """The audit trail: who did what."""

    title: ClassVar[str] = "Audit trail"

    audit_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="Days after which entries of the audit trail are removed, with a checkpoint that keeps the rest verifiable. Default: never.",
    )
    audit_search_text: bool = Field(
        default=False,
        description="Whether the audit trail has what people searched for, which may be words of a call. Otherwise only that they searched.",
    )
    playback_reason: bool = Field(
        default=False,
        description="Whether people must give a reason before they play or download a recording; it is valid for an hour.",
    )
