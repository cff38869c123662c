"""Settings of webhooks. The endpoints themselves are in the database: administrators keep them on a page."""

import re
from typing import ClassVar

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from callreel.settings.values import Words

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?")


class WebhookSettings(BaseSettings):
    """Where webhooks may go, and how long a receiver may take."""

    title: ClassVar[str] = "Webhooks"

    webhook_inside_hosts: Words = Field(
        default=(),
        description="Hosts of your own network that webhooks may be sent to, also without https, such as n8n.internal or 10.0.0.5:5678. Default: only public addresses, by https.",
    )
    webhook_timeout_s: float = Field(
        default=10,
        gt=0,
        le=60,
        description="How long a receiver may take to accept the connection, and to answer, in seconds.",
    )

    @field_validator("webhook_inside_hosts")
    @classmethod
    def _check_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_HOST.fullmatch(host) for host in value):
            raise ValueError("should be host names or IPv4 addresses, each optionally with :port")
        return tuple(host.lower() for host in value)
