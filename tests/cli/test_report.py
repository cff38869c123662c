"""`callreel report` as a command line."""

import json
from pathlib import Path

from tests.support.program import callreel, the_line
from tests.support.seed import NUMBER, seed


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
