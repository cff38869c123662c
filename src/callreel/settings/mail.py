"""Settings of the mail server, and of the weekly report that it sends."""

import re
from typing import ClassVar

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from callreel.domain.mail import SmtpTls
from callreel.runtime.loopback import is_loopback
from callreel.runtime.time_zones import time_zone
from callreel.settings.values import Words

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:]+")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
"""The valid address of the HTML standard, section 4.10.5.1.5: no quotes, spaces or line breaks."""


class MailSettings(BaseSettings):
    """Which mail server sends the weekly report, and to whom. Without one, nothing is sent."""

    title: ClassVar[str] = "Mail"

    smtp_host: str | None = Field(
        default=None,
        description="Mail server that sends the report of each week to CALLREEL_REPORT_RECIPIENTS, such as smtp.example.com. Default: no mail.",
    )
    smtp_port: int = Field(
        default=587, ge=1, le=65535, description="Its port: usually 587 for starttls, 465 for tls."
    )
    smtp_tls: SmtpTls = Field(
        default=SmtpTls.STARTTLS,
        description="How the connection is encrypted: starttls, tls (from the first byte) or off. The server's certificate is checked; SSL_CERT_FILE names a file with another certificate authority.",
    )
    smtp_user: str | None = Field(
        default=None,
        description="User name at the mail server. Default: no sign-in, as for a relay in your network.",
    )
    smtp_password: SecretStr | None = Field(default=None, description="Password of that user.")
    smtp_from: str | None = Field(
        default=None, description="Sender of the mails, such as callreel@example.com."
    )
    smtp_timeout_s: float = Field(
        default=30, gt=0, le=300, description="How long the mail server may take for one answer, in seconds."
    )
    report_recipients: Words = Field(
        default=(),
        description="Mail addresses that get the report of each week. It has counts of all calls and the names of phrase rules and labels, so they should belong to people who may see all calls.",
    )
    report_zone: str = Field(
        default="UTC",
        description="Time zone of the weeks, days and hours of the mailed report, such as Europe/Berlin.",
    )

    @field_validator("smtp_host")
    @classmethod
    def _check_smtp_host(cls, value: str | None) -> str | None:
        if value is not None and not _HOST.fullmatch(value):
            raise ValueError("should be a host name such as smtp.example.com, without port")
        return value

    @field_validator("smtp_from")
    @classmethod
    def _check_sender(cls, value: str | None) -> str | None:
        if value is not None and not _ADDRESS.fullmatch(value):
            raise ValueError("should be a mail address such as callreel@example.com")
        return value

    @field_validator("report_recipients")
    @classmethod
    def _check_recipients(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_ADDRESS.fullmatch(address) for address in value):
            raise ValueError("should be mail addresses separated by commas")
        return tuple(dict.fromkeys(value))

    @field_validator("report_zone")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        try:
            time_zone(value)
        except ValueError:
            raise ValueError("should be a time zone such as Europe/Berlin") from None
        return value

    @model_validator(mode="after")
    def _check_mail(self) -> "MailSettings":
        set_together = (self.smtp_host is not None, self.smtp_from is not None, bool(self.report_recipients))
        if len(set(set_together)) > 1:
            raise ValueError(
                "CALLREEL_SMTP_HOST, CALLREEL_SMTP_FROM and CALLREEL_REPORT_RECIPIENTS should be set together"
            )
        if (self.smtp_user is None) != (self.smtp_password is None):
            raise ValueError("CALLREEL_SMTP_USER and CALLREEL_SMTP_PASSWORD should be set together")
        if self.smtp_user is not None and self.smtp_tls is SmtpTls.OFF and not is_loopback(self.smtp_host):
            raise ValueError(
                "CALLREEL_SMTP_TLS may be off only without CALLREEL_SMTP_USER, or for a mail server on this machine"
            )
        return self
