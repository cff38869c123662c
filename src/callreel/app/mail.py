"""Builds the mail of the weekly report from the settings."""

from callreel.app.offline import OfflineInstallation
from callreel.app.runtime import Runtime
from callreel.domain.errors import MailRefusedError
from callreel.mail.smtp import SmtpAccess, smtp_session
from callreel.postcall.report_mail import ReportMail, ReportMailOptions
from callreel.runtime.time_zones import time_zone
from callreel.settings import Settings


def report_mail_options(settings: Settings) -> ReportMailOptions | None:
    """None without a mail server."""
    if settings.smtp_host is None or settings.smtp_from is None:
        return None
    password = settings.smtp_password
    access = SmtpAccess(
        settings.smtp_host, settings.smtp_port, settings.smtp_tls, settings.smtp_user,
        password.get_secret_value() if password else "", settings.smtp_timeout_s,
    )  # fmt: skip
    return ReportMailOptions(
        access,
        settings.smtp_from,
        settings.report_recipients,
        time_zone(settings.report_zone),
        settings.public_url.rstrip("/"),
    )


def report_mail_of(settings: Settings, runtime: Runtime | OfflineInstallation) -> ReportMail:
    """Orders and sends the mails."""
    return ReportMail(runtime.database, runtime.clock, report_mail_options(settings))


def refused_recipients(options: ReportMailOptions) -> dict[str, str]:
    """Recipients that the mail server would refuse, with its reason; no mail is sent. Raises MailError if nothing can be sent."""
    refused = dict[str, str]()
    with smtp_session(options.access) as session:
        for recipient in options.recipients:
            try:
                session.address(options.sender, recipient)
            except MailRefusedError as error:
                refused[recipient] = str(error)
    return refused
