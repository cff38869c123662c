"""Settings of the audit trail."""

from typing import ClassVar

from pydantic import Field
from pydantic_settings import BaseSettings


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
