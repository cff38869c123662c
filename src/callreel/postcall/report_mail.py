"""The weekly report by mail: one mail for each recipient, by a durable workflow for each week.

What was sent is a row (`store/mail/report_mails.py`), not the workflow: a mail is claimed before its text goes to the mail
server, and no other attempt sends a mail that is claimed. If the connection or the process ends in between, the mail is
`unconfirmed`, and only a person sends it again; so no one gets a report twice.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Final

from callreel.domain.errors import MailError, MailRefusedError, MailUnconfirmedError
from callreel.domain.events import Json
from callreel.domain.mail import MailState, masked_address
from callreel.domain.work import Workflow, WorkQueue, subject_of
from callreel.formats.weekly_report import Envelope, as_mail
from callreel.mail.smtp import SmtpAccess, SmtpSession, smtp_session
from callreel.postcall.durable import DurableEngine, RetryPolicy, Steps
from callreel.review.week import Week
from callreel.review.weekly import weekly_report
from callreel.runtime.clock import Clock
from callreel.store.calls import outbox
from callreel.store.db.database import Database
from callreel.store.mail import report_mails
from callreel.store.mail.report_mails import MailRow

log = logging.getLogger(__name__)

QUEUE: Final = "mail"
LOST_AFTER: Final = timedelta(minutes=30)
"""A pending mail without a workflow is ordered again after so long: the engine's database was lost."""
_DUE: Final = (MailState.PENDING,)
_NOT_SENT: Final = (MailState.PENDING, MailState.REFUSED, MailState.UNCONFIRMED)
_INTERRUPTED: Final = "the process ended while the mail was sent; it may have been sent"


@dataclass(frozen=True, slots=True)
class ReportMailOptions:
    """Who gets the report from where; days, hours and the end of the week are those of `zone`."""

    access: SmtpAccess
    sender: str
    recipients: tuple[str, ...]
    zone: tzinfo
    public_url: str


class ReportMail:
    """Orders and sends the mails. Blocking; safe from any thread."""

    def __init__(self, database: Database, clock: Clock, options: ReportMailOptions | None) -> None:
        """Without `options` nothing is sent."""
        self._database = database
        self._clock = clock
        self._options = options

    def register(self, engine: DurableEngine, policy: RetryPolicy) -> None:
        """Make the workflow known, before the engine is launched."""
        engine.register(Workflow.MAIL_REPORT, self.workflow, queue=QUEUE, decide=policy)

    def workflow(self, steps: Steps, key: str) -> None:
        """Send the report of one week to those who are still to get it."""
        week = Week.parse(subject_of(key))
        steps.run("send", lambda: self._workflow_step(week))

    def order_due(self, work: WorkQueue) -> bool:
        """Order the report of the last complete week, once; returns whether it was due. One job of the leading server."""
        options, now = self._options, self._clock.now()
        if options is None:
            return False
        week = Week.last_complete(now, options.zone)
        with self._database.read() as conn:
            rows = report_mails.of_week(conn, str(week))
        lost = [row for row in rows if row.state in _DUE and row.at < now - LOST_AFTER]
        if rows and (
            not lost or any(item.workflow is Workflow.MAIL_REPORT for item in work.unfinished(str(week)))
        ):
            return False
        with self._database.write() as conn:
            if not rows:
                report_mails.put(conn, str(week), options.recipients, now)
            outbox.put(conn, None, Workflow.MAIL_REPORT, str(week), now)
        return True

    def send_now(self, week: Week, *, again: bool = False) -> list[MailRow]:
        """Send the report to each recipient that was not sent it, or with `again` to all; returns all rows of the week.

        Raises MailError if the mail server cannot be used.
        """
        assert self._options is not None, "mail is off"
        with self._database.write() as conn:
            report_mails.put(conn, str(week), self._options.recipients, self._clock.now())
        try:
            self._send(week, tuple(MailState) if again else _NOT_SENT)
        except MailRefusedError:
            pass  # the row of the recipient has it
        with self._database.read() as conn:
            return report_mails.of_week(conn, str(week))

    def _workflow_step(self, week: Week) -> None:
        self._note_interrupted(week)
        self._send(week, _DUE)

    def _note_interrupted(self, week: Week) -> None:
        """Nothing of this week is being sent when the workflow's step starts, except by a process that was declared dead or a person."""
        with self._database.read() as conn:
            rows = [row for row in report_mails.of_week(conn, str(week)) if row.state is MailState.SENDING]
        for row in rows:
            with self._database.write() as conn:
                changed = report_mails.note(
                    conn, row, MailState.UNCONFIRMED, self._clock.now(), _INTERRUPTED, of=[MailState.SENDING]
                )
            if changed:
                log.warning(
                    "weekly report unconfirmed week=%s recipient=%s: %s",
                    week,
                    masked_address(row.recipient),
                    _INTERRUPTED,
                )

    def _send(self, week: Week, states: Collection[MailState]) -> None:
        """Send to the recipients whose mail is in one of `states`. Raises MailError if some are to be tried again."""
        options = self._options
        if options is None:
            return
        with self._database.read() as conn:
            rows = report_mails.of_week(conn, str(week))
        due = [row for row in rows if row.state in states and row.recipient in options.recipients]
        if not due:
            return
        with self._database.read() as conn:
            found = weekly_report(conn, week, options.zone)
        later: MailError | None = None
        try:
            with smtp_session(options.access) as session:
                for row in due:
                    try:
                        self._send_one(session, options, found, row)
                    except MailRefusedError as error:
                        self._failed(row, error)
                        later = error if error.retryable else later
        except MailError as error:
            for row in due:
                self._note(row, MailState.PENDING, str(error), of=[MailState.PENDING])
            raise
        if later is not None:
            raise later

    def _send_one(
        self, session: SmtpSession, options: ReportMailOptions, found: Mapping[str, Json], row: MailRow
    ) -> None:
        session.address(options.sender, row.recipient)
        envelope = Envelope(options.sender, row.recipient, options.public_url)
        message = as_mail(found, envelope, options.zone, self._clock.now()).as_bytes()
        with self._database.write() as conn:
            claimed = report_mails.claim(conn, row, self._clock.now())
        if not claimed:  # another process sends it
            session.cancel()
            return
        try:
            session.deliver(message)
        except MailUnconfirmedError as error:
            self._note(row, MailState.UNCONFIRMED, str(error))
            log.warning(
                "weekly report unconfirmed week=%s recipient=%s: %s",
                row.week,
                masked_address(row.recipient),
                error,
            )
            raise MailError(str(error), retryable=True) from None
        self._note(row, MailState.SENT)
        log.info("weekly report sent week=%s recipient=%s", row.week, masked_address(row.recipient))

    def _failed(self, row: MailRow, error: MailRefusedError) -> None:
        state = MailState.PENDING if error.retryable else MailState.REFUSED
        self._note(row, state, str(error))
        log.warning(
            "weekly report not sent week=%s recipient=%s: %s%s", row.week, masked_address(row.recipient), error,
            "; it will be tried again" if error.retryable else "",
        )  # fmt: skip

    def _note(
        self,
        row: MailRow,
        state: MailState,
        failure: str = "",
        *,
        of: Collection[MailState] = tuple(MailState),
    ) -> None:
        with self._database.write() as conn:
            report_mails.note(conn, row, state, self._clock.now(), failure, of=of)
