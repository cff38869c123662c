"""`callreel report` as a command line."""

import json
from pathlib import Path

from tests.support.program import callreel, free_port, the_line
from tests.support.seed import NUMBER, seed
from tests.support.smtp_server import PASSWORD, USER, smtp_server


def test_report_prints_counts_without_numbers(tmp_path: Path) -> None:
    seed(tmp_path).database.close()
    settings = {
        "CALLREEL_DATA_DIR": str(tmp_path / "data"),
        "CALLREEL_DATABASE_URL": f"sqlite:///{tmp_path / 'callreel.db'}",
    }
    ran = callreel("report", "--week", "2026-W47", folder=tmp_path, extra=settings)
    assert ran.returncode == 0, ran.stderr
    printed = ran.stdout.splitlines()
    assert printed[0] == "Week 2026-W47, 2026-11-16 to 2026-11-22 (UTC)"
    assert printed[1] == "Calls: 4 (0 the week before)"
    assert "Busiest: 2026-11-22 12:00, 4 calls" in printed
    assert printed[-1] == "Calls to review: 1, suspect 1"
    assert NUMBER.removeprefix("+") not in ran.stdout
    as_json = callreel("report", "--week", "2026-W47", "--json", folder=tmp_path, extra=settings).stdout
    assert NUMBER.removeprefix("+") not in as_json
    found = json.loads(as_json)
    assert found["to_review"] == {"total": 1, "reasons": {"suspect": 1}}
    assert (found["week"], found["volume"]["calls"]) == ("2026-W47", 4)
    odd = callreel("report", "--week", "48", folder=tmp_path, extra=settings)
    assert the_line(odd) == "cannot report on the week '48': a week looks like 2026-W48"


def test_report_is_sent_now_to_those_who_have_not_got_it(tmp_path: Path) -> None:
    seed(tmp_path).database.close()
    port = free_port()
    settings = {
        "CALLREEL_DATA_DIR": str(tmp_path / "data"),
        "CALLREEL_DATABASE_URL": f"sqlite:///{tmp_path / 'callreel.db'}",
        "CALLREEL_SMTP_HOST": "127.0.0.1",
        "CALLREEL_SMTP_PORT": str(port),
        "CALLREEL_SMTP_TLS": "off",
        "CALLREEL_SMTP_USER": USER,
        "CALLREEL_SMTP_PASSWORD": PASSWORD,
        "CALLREEL_SMTP_FROM": "callreel@example.com",
        "CALLREEL_REPORT_RECIPIENTS": "lead@example.com, unknown@example.com",
    }
    send = ("report", "--mail", "--week", "2026-W47")
    away = callreel(*send, folder=tmp_path, extra=settings)
    assert the_line(away) == f"the mail server 127.0.0.1:{port} does not answer (ConnectionRefusedError)"
    with smtp_server(port, tmp_path / "mail") as server:
        for _ in range(2):
            ran = callreel(*send, folder=tmp_path, extra=settings)
            assert ran.returncode == 1, ran.stderr
            assert ran.stdout.splitlines() == [
                "lead@example.com\tsent",
                "unknown@example.com\trefused: the mail server refused the recipient (550)",
            ]
        [(to, message)] = server.accepted()
        doctor = callreel("doctor", folder=tmp_path, extra=settings).stdout
        listed = callreel("settings", folder=tmp_path, extra=settings).stdout
        assert len(server.accepted()) == 1, "doctor sends no mail"
    assert to == "lead@example.com" and message["Subject"] == "Callreel: week 2026-W47, 4 calls"
    assert (
        "! mail server 127.0.0.1: unknown@example.com: the mail server refused the recipient (550)" in doctor
    )
    assert "✓ mail server 127.0.0.1: answers, accepts 1 of 2 recipients" in doctor
    assert PASSWORD not in ran.stdout + ran.stderr + away.stderr + doctor + listed
    wrong = {**settings, "CALLREEL_SMTP_PASSWORD": "w0rng-password"}
    with smtp_server(port, tmp_path / "mail"):
        doctor = callreel("doctor", folder=tmp_path, extra=wrong).stdout
    assert "! mail server 127.0.0.1: the mail server refused the sign-in (535)" in doctor
    assert "w0rng-password" not in doctor


def test_mail_needs_a_mail_server(tmp_path: Path) -> None:
    line = the_line(callreel("report", "--mail", folder=tmp_path))
    assert line == "CALLREEL_SMTP_HOST is not set; docs/operations.md says how to set up mail"
    assert the_line(callreel("report", "--again", folder=tmp_path)) == "--again needs --mail"
