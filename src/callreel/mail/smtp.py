"""A session at a mail server that relays our mail (RFC 5321, RFC 6409), by the standard library's client.

A message is handed over in two steps, so that the caller can record between them that delivery may have happened: `address`
says from whom and to whom, `deliver` sends the text. Messages of errors have the server's code and none of its text, which
may repeat what was sent to it.
"""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from callreel.domain.errors import MailError, MailRefusedError, MailUnconfirmedError
from callreel.domain.mail import SmtpTls

CLOSING = 421
"""The server ends the session, whatever the command was."""


@dataclass(frozen=True, slots=True)
class SmtpAccess:
    """Where the mail server is, and how to sign in there; no `user`: without signing in."""

    host: str
    port: int
    tls: SmtpTls
    user: str | None = None
    password: str = field(default="", repr=False)
    timeout_s: float = 30.0


class SmtpSession:
    """An open session. Every method raises MailError if the session cannot continue."""

    def __init__(self, access: SmtpAccess, client: smtplib.SMTP) -> None:
        self._access = access
        self._client = client

    def address(self, sender: str, recipient: str) -> None:
        """Begin a message. Raises MailRefusedError if this recipient is refused, for now or for good."""
        with _translated(self._access):
            self._client.rset()
            code, _ = self._client.mail(sender)
            if code != 250:
                raise _answered(f"the mail server refused the sender ({code})", code)
            code, _ = self._client.rcpt(recipient)
        if code == CLOSING:
            raise _answered(f"the mail server ended the session ({code})", code)
        if code not in (250, 251):
            raise _answered(f"the mail server refused the recipient ({code})", code, MailRefusedError)

    def deliver(self, message: bytes) -> None:
        """Hand over the text of the message that `address` began.

        Raises MailRefusedError if it was not accepted, MailUnconfirmedError if the connection broke and that is unknown.
        """
        try:
            code, _ = self._client.data(message)
        except smtplib.SMTPDataError as error:
            code = error.smtp_code
        except (smtplib.SMTPServerDisconnected, OSError) as error:
            raise MailUnconfirmedError(
                f"the connection to the mail server broke while the message was sent ({type(error).__name__})",
                retryable=False,
            ) from None
        if code != 250:
            raise _answered(f"the mail server refused the message ({code})", code, MailRefusedError)

    def cancel(self) -> None:
        """Discard the message that `address` began."""
        with _translated(self._access):
            self._client.rset()


@contextmanager
def smtp_session(access: SmtpAccess) -> Iterator[SmtpSession]:
    """Connect, encrypt and sign in. Raises MailError, whose message says which of them failed and what to do."""
    with _translated(access):
        context = ssl.create_default_context() if access.tls is not SmtpTls.OFF else None
        if context is not None and access.tls is SmtpTls.TLS:
            client: smtplib.SMTP = smtplib.SMTP_SSL(
                access.host, access.port, timeout=access.timeout_s, context=context
            )
        else:
            client = smtplib.SMTP(access.host, access.port, timeout=access.timeout_s)
    try:
        with _translated(access):
            client.ehlo_or_helo_if_needed()
            if access.tls is SmtpTls.STARTTLS:
                _start_tls(client, context)
            if access.user is not None:
                _sign_in(client, access.user, access.password)
        yield SmtpSession(access, client)
        with suppress(smtplib.SMTPException, OSError):
            client.quit()
    finally:
        client.close()


def _start_tls(client: smtplib.SMTP, context: ssl.SSLContext | None) -> None:
    try:
        client.starttls(context=context)
    except smtplib.SMTPNotSupportedError:
        raise MailError(
            "the mail server offers no STARTTLS; set CALLREEL_SMTP_TLS to tls, with its port", retryable=False
        ) from None
    client.ehlo()


def _sign_in(client: smtplib.SMTP, user: str, password: str) -> None:
    try:
        client.login(user, password)
    except smtplib.SMTPNotSupportedError:
        raise MailError(
            "the mail server offers no sign-in on this connection; check CALLREEL_SMTP_TLS and CALLREEL_SMTP_USER",
            retryable=False,
        ) from None
    except smtplib.SMTPAuthenticationError as error:
        raise _answered(
            f"the mail server refused the sign-in ({error.smtp_code}); check CALLREEL_SMTP_USER and CALLREEL_SMTP_PASSWORD",
            error.smtp_code,
        ) from None


def _answered(message: str, code: int, kind: type[MailError] = MailError) -> MailError:
    """By RFC 5321, section 4.2.1, an answer 4yz is temporary and 5yz is not."""
    return kind(message, retryable=400 <= code < 500, status=code)


@contextmanager
def _translated(access: SmtpAccess) -> Iterator[None]:
    """The client's errors as MailError."""
    where = f"{access.host}:{access.port}"
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise MailError(
            f"the certificate of the mail server {where} was not accepted: {error.verify_message}",
            retryable=False,
        ) from None
    except ssl.SSLError:
        raise MailError(
            f"the mail server {where} does not speak TLS there; check CALLREEL_SMTP_PORT and CALLREEL_SMTP_TLS",
            retryable=False,
        ) from None
    except smtplib.SMTPResponseException as error:
        raise _answered(f"the mail server refused the session ({error.smtp_code})", error.smtp_code) from None
    except (smtplib.SMTPException, OSError) as error:
        raise MailError(
            f"the mail server {where} does not answer ({type(error).__name__})", retryable=True
        ) from None
