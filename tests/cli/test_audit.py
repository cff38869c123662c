"""`callreel audit`: an intact trail, the first broken entry, a lost end, and exports."""

import csv
import json
import sqlite3
from pathlib import Path

from callreel.domain.audit import AuditAction, AuditEvent
from callreel.store.audit import trail
from callreel.store.db.database import Database
from tests.support.program import callreel, the_line
from tests.support.rows import after


def test_trail_is_verified_and_exported(tmp_path: Path) -> None:
    path = tmp_path / "callreel-data/app.db"
    database = Database.open(str(path))
    database.migrate()
    for second in range(4):
        with database.write() as conn:
            trail.record(conn, AuditEvent(after(second), AuditAction.PLAYED, "sam"))
    database.close()
    run = callreel("audit", "verify", folder=tmp_path)
    assert run.returncode == 0
    noted = run.stdout.split()[-1]
    assert noted.startswith("4:") and "entries 1 to 4" in run.stdout
    assert callreel("audit", "verify", "--expect", noted, folder=tmp_path).returncode == 0
    whole = json.loads(callreel("audit", "export", folder=tmp_path).stdout)["entries"]
    assert [entry["number"] for entry in whole] == [1, 2, 3, 4]
    rows = csv.DictReader(
        callreel("audit", "export", "--format", "csv", "--actor", "sam", folder=tmp_path).stdout.splitlines()
    )
    assert [row["digest"] for row in rows] == [entry["digest"] for entry in whole]
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER audit_no_update")
        connection.execute("UPDATE audit_entries SET actor = 'zoe' WHERE number = 3")
    run = callreel("audit", "verify", folder=tmp_path)
    assert run.returncode == 1
    assert (
        run.stderr == "callreel: the audit trail is broken at entry 3: the content of the entry was changed\n"
    )


def test_wrong_options_are_one_line(tmp_path: Path) -> None:
    assert "NUMBER:DIGEST" in the_line(callreel("audit", "verify", "--expect", "7", folder=tmp_path))
    assert "json or csv" in the_line(callreel("audit", "export", "--format", "xml", folder=tmp_path))
    assert "2026-11-22" in the_line(callreel("audit", "export", "--from", "monday", folder=tmp_path))


def test_account_added_by_command_is_recorded(tmp_path: Path) -> None:
    callreel("user", "add", "kim", "--password-stdin", folder=tmp_path, stdin="correct horse\n")
    [entry] = json.loads(callreel("audit", "export", folder=tmp_path).stdout)["entries"]
    assert (entry["action"], entry["via"], entry["subject"]) == ("person_added", "command_line", "kim")
