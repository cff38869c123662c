"""Mail of the weekly report: how the connection is protected, and how far the mail to one recipient is."""

from enum import StrEnum


class SmtpTls(StrEnum):
    """How the connection to the mail server is encrypted."""

    STARTTLS = "starttls"
    """From the command STARTTLS on, usually at port 587."""
    TLS = "tls"
    """From the first byte, usually at port 465."""
    OFF = "off"


class MailState(StrEnum):
    """The mail of one week to one recipient. `PENDING` is sent, or tried again, by the scheduled job."""

    PENDING = "pending"
    SENDING = "sending"
    """Its text is being handed to the mail server."""
    SENT = "sent"
    """The mail server accepted it."""
    REFUSED = "refused"
    """The mail server refused it for good."""
    UNCONFIRMED = "unconfirmed"
    """The connection or the process ended while its text was handed over: it may have been sent."""


def masked_address(address: str) -> str:
    """A mail address for logs and pages: its first letter and its host."""
    name, _, host = address.rpartition("@")
    return f"{name[:1]}…@{host}"
