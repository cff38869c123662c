"""The weekly report by mail, to a mail server in a process of its own: once for each recipient, whatever happens."""

import logging
import re
from collections.abc import Iterator
from datetime import UTC, timedelta
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from callreel.cluster.failure_detector import new_name
from callreel.domain.label import LabelColor
from callreel.domain.mail import MailState, SmtpTls
from callreel.domain.work import Workflow
from callreel.mail.smtp import SmtpAccess
from callreel.postcall.durable import DurableEngine
from callreel.postcall.report_mail import LOST_AFTER, QUEUE, ReportMail, ReportMailOptions
from callreel.postcall.workflows import Dispatcher
from callreel.review.week import Week
from callreel.runtime.retry import Retry
from callreel.store.calls import labels, phrase_alerts
from callreel.store.db.database import Database
from callreel.store.mail import report_mails
from tests.support.fake_engine import FakeEngine, retry_policy
from tests.support.installation import SteppedClock, eventually_blocking
from tests.support.program import free_port
from tests.support.rows import a_rule
from tests.support.seed import ABSENT, DONE, NOON, NUMBER, SUSPECT, seed
from tests.support.smtp_server import PASSWORD, USER, new_certificate, smtp_server

LEAD, CHIEF = "lead@example.com", "chief@example.com"
WEEK = Week.parse("2026-W47")
A_DAY_S = 86_400.0


class Office:
    """Calls of week 47 of 2026, the mail of its report, and an engine in memory. It is Monday noon of week 48."""

    def __init__(self, database: Database, port: int) -> None:
        self.database = database
        self.port = port
        self.clock = SteppedClock()
        self.clock.step(A_DAY_S)
        self.engine = FakeEngine(clock=self.clock, policy=retry_policy())
        self.set_up(LEAD)

    def set_up(self, *recipients: str, tls: SmtpTls = SmtpTls.OFF, password: str = PASSWORD) -> None:
        """As after a restart with these settings."""
        access = SmtpAccess("127.0.0.1", self.port, tls, USER, password, timeout_s=10)
        self.options = ReportMailOptions(
            access, "callreel@example.com", recipients, UTC, "https://calls.example"
        )
        self.mail = ReportMail(self.database, self.clock, self.options)
        self.engine.bodies[Workflow.MAIL_REPORT] = self.mail.workflow
        self.dispatcher = Dispatcher(self.database, self.engine, self.clock)

    def sweep(self) -> None:
        """What the leading server does every few minutes."""
        self.mail.order_due(self.engine)
        self.dispatcher.sweep()
        self.engine.work()

    def states(self, week: Week = WEEK) -> dict[str, MailState]:
        with self.database.read() as conn:
            return {row.recipient: row.state for row in report_mails.of_week(conn, str(week))}

    def failure(self, recipient: str = LEAD) -> str:
        with self.database.read() as conn:
            return next(
                row.failure for row in report_mails.of_week(conn, str(WEEK)) if row.recipient == recipient
            )


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    place = seed(tmp_path)
    yield Office(place.database, free_port())
    place.database.close()


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n")


def test_report_arrives_once_as_text_and_html(office: Office, tmp_path: Path) -> None:
    with smtp_server(office.port, tmp_path / "mail") as server:
        for _ in range(3):
            office.sweep()
        [(to, message)] = server.accepted()
    assert to == LEAD and message["To"] == LEAD and message["From"] == "callreel@example.com"
    assert message["Subject"] == "Callreel: week 2026-W47, 4 calls"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime == NOON + timedelta(days=1)
    text, html = part(message, "plain"), part(message, "html")
    assert text.startswith("Week 2026-W47, 2026-11-16 to 2026-11-22 (UTC)\nCalls: 4 (0 the week before)\n")
    assert f"2026-11-22 12:10: verdict suspect\n  https://calls.example/calls/{SUSPECT}\n" in text
    assert "https://calls.example/report?week=2026-W47&zone=UTC" in text
    assert "<td>4 (0 the week before)</td>" in html
    assert f'<a href="https://calls.example/calls/{SUSPECT}">2026-11-22 12:10: verdict suspect</a>' in html
    for hidden in (NUMBER.removeprefix("+"), "pressure", "maria", PASSWORD):
        assert hidden not in message.as_string() + text + html
    office.clock.step(3 * A_DAY_S)
    office.sweep()
    assert office.states() == {LEAD: MailState.SENT} and office.states(WEEK.after) == {}
    office.clock.step(4 * A_DAY_S)
    with smtp_server(office.port, tmp_path / "mail"):
        office.sweep()
    assert [message["Subject"] for _, message in server.accepted()][1:] == [
        "Callreel: week 2026-W48, 0 calls"
    ]


def test_names_can_add_neither_headers_nor_markup(office: Office, tmp_path: Path) -> None:
    hostile = "x\r\nBcc: thief@example.com\r\n\r\n.\r\nMAIL FROM:<a@b>"
    rule = a_rule(office.database, name="<script>alert(1)</script>\n.\n").rule
    with office.database.write() as conn:
        labels.attach(conn, DONE, labels.add(conn, hostile, LabelColor.RED).id, "sam", NOON)
        phrase_alerts.put(conn, ABSENT, rule, None, "agent-1", NOON, (1, 2))
    with smtp_server(office.port, tmp_path / "mail") as server:
        office.sweep()
        [(to, message)] = server.accepted()
    assert to == LEAD and message["Bcc"] is None and len(message["To"].addresses) == 1
    assert "Label x Bcc: thief@example.com . MAIL FROM:<a@b>: 1" in part(message, "plain")
    html = part(message, "html")
    assert "<script>" not in html and "&lt;script&gt;alert(1)&lt;/script&gt; ." in html


def test_server_that_is_away_gets_the_report_when_it_is_back(
    office: Office, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    office.sweep()
    assert office.states() == {LEAD: MailState.PENDING}
    assert (
        office.failure()
        == f"the mail server 127.0.0.1:{office.port} does not answer (ConnectionRefusedError)"
    )
    for _ in range(5):  # the job does not shorten the wait
        office.sweep()
        assert len(office.engine.waits_s) == 1
    office.clock.step(2.0)
    with smtp_server(office.port, tmp_path / "mail") as server:
        office.engine.work_due()
        office.sweep()
        assert [to for to, _ in server.accepted()] == [LEAD]
    assert office.states() == {LEAD: MailState.SENT}


def test_refused_sign_in_is_parked_with_its_reason_and_retried(
    office: Office, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = "w0rng-password"
    office.set_up(LEAD, password=wrong)
    with smtp_server(office.port, tmp_path / "mail") as server:
        office.sweep()
        [item] = office.engine.unfinished(str(WEEK))
        expected = (
            "the mail server refused the sign-in (535); check CALLREEL_SMTP_USER and CALLREEL_SMTP_PASSWORD"
        )
        assert (item.state, item.failure) == ("parked", expected) and office.failure() == expected
        assert wrong not in caplog.text
        office.set_up(LEAD)
        office.clock.step(120)
        office.engine.work_due()
        assert [to for to, _ in server.accepted()] == [LEAD]


def test_refused_recipient_keeps_no_one_else_from_the_report(
    office: Office, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    unknown, full = "unknown@example.com", "full@example.com"
    office.set_up(unknown, full, LEAD, CHIEF)
    with smtp_server(office.port, tmp_path / "mail") as server:
        office.sweep()
        assert sorted(to for to, _ in server.accepted()) == [CHIEF, LEAD]
        assert office.states() == {
            unknown: MailState.REFUSED, full: MailState.PENDING, LEAD: MailState.SENT, CHIEF: MailState.SENT,
        }  # fmt: skip
        (server.folder / "emptied").touch()
        office.engine.work_through()
        assert [to for to, _ in server.accepted()][2:] == [full]
    refused = "weekly report not sent week=2026-W47 recipient=u…@example.com: the mail server refused the recipient (550)"
    later = "recipient=f…@example.com: the mail server refused the recipient (452); it will be tried again"
    assert refused in caplog.messages and any(line.endswith(later) for line in caplog.messages)
    assert "weekly report sent week=2026-W47 recipient=l…@example.com" in caplog.messages
    assert LEAD not in caplog.text


def test_mail_with_unknown_outcome_is_not_repeated(office: Office, tmp_path: Path) -> None:
    with smtp_server(office.port, tmp_path / "mail") as server:
        server.drops(True)
        office.sweep()
        assert office.states() == {LEAD: MailState.UNCONFIRMED} and "broke" in office.failure()
        server.drops(False)
        office.engine.work_through()
        office.clock.step(A_DAY_S)
        office.sweep()
        assert len(server.accepted()) == 1
        [row] = office.mail.send_now(WEEK)  # a person may
        assert row.state is MailState.SENT and len(server.accepted()) == 2
        assert server.accepted()[0][1]["Message-ID"] == server.accepted()[1][1]["Message-ID"]
        office.mail.send_now(WEEK)
        assert len(server.accepted()) == 2
        office.mail.send_now(WEEK, again=True)
        assert len(server.accepted()) == 3


def test_process_that_dies_while_sending_sends_nothing_twice(office: Office, tmp_path: Path) -> None:
    with smtp_server(office.port, tmp_path / "mail") as server:
        office.mail.order_due(office.engine)
        with office.database.write() as conn:
            [row] = report_mails.of_week(conn, str(WEEK))
            assert report_mails.claim(conn, row, office.clock.now())
            assert not report_mails.claim(conn, row, office.clock.now()), "it is being sent"
        office.dispatcher.sweep()
        office.engine.work()
        assert office.states() == {LEAD: MailState.UNCONFIRMED} and server.accepted() == []


def test_order_that_the_engine_lost_is_given_again(office: Office, tmp_path: Path) -> None:
    office.mail.order_due(office.engine)
    office.dispatcher.sweep()
    office.engine.queue.clear()
    office.clock.step(LOST_AFTER.total_seconds() + 1)
    with smtp_server(office.port, tmp_path / "mail") as server:
        office.sweep()
        office.sweep()
        assert len(server.accepted()) == 1


def test_nothing_is_ordered_without_a_mail_server(office: Office) -> None:
    assert not ReportMail(office.database, office.clock, None).order_due(office.engine)
    assert office.states() == {}


def test_week_ends_in_the_zone_of_the_report(office: Office) -> None:
    office.clock.step(-A_DAY_S + 0)  # Sunday noon in UTC, early Monday on Kiritimati
    assert Week.last_complete(office.clock.now(), office.options.zone) == WEEK.before
    east = ReportMailOptions(
        office.options.access, "a@b.example", (LEAD,), ZoneInfo("Pacific/Kiritimati"), "https://calls.example"
    )
    assert Week.last_complete(office.clock.now(), east.zone) == WEEK


def test_connection_is_encrypted_and_the_certificate_checked(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = new_certificate(tmp_path / "server.pem")
    office.set_up(LEAD, tls=SmtpTls.STARTTLS)
    with smtp_server(office.port, tmp_path / "mail", certificate=certificate) as server:
        office.sweep()
        assert re.fullmatch(
            rf"the certificate of the mail server 127.0.0.1:{office.port} was not accepted: self.signed certificate",
            office.failure(),
        )
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        office.clock.step(120)
        office.engine.work_due()
        assert [to for to, _ in server.accepted()] == [LEAD]
    office.set_up(LEAD, tls=SmtpTls.STARTTLS)
    with smtp_server(office.port, tmp_path / "mail"):
        with pytest.raises(Exception, match="offers no STARTTLS; set CALLREEL_SMTP_TLS to tls"):
            office.mail.send_now(WEEK, again=True)
        office.set_up(LEAD, tls=SmtpTls.TLS)
        with pytest.raises(Exception, match="does not speak TLS there"):
            office.mail.send_now(WEEK, again=True)


def quickly(error: Exception, failure: int) -> Retry:
    """The real decision with waits of a tenth."""
    retry = retry_policy()(error, failure)
    return Retry(retry.reason, None if retry.after_s is None else retry.after_s / 10, retry.parked)


def test_durable_engine_sends_when_the_server_is_back(office: Office, tmp_path: Path) -> None:
    engine = DurableEngine(f"sqlite:///{tmp_path / 'stages.db'}", new_name())
    office.mail.register(engine, quickly)
    engine.launch({QUEUE: 1})
    try:
        assert office.mail.order_due(engine)
        Dispatcher(office.database, engine, office.clock).sweep()
        eventually_blocking(lambda: bool(office.failure()))
        assert not office.mail.order_due(engine)
        with smtp_server(office.port, tmp_path / "mail") as server:
            eventually_blocking(lambda: office.states() == {LEAD: MailState.SENT})
            assert len(server.accepted()) == 1
    finally:
        engine.close()
