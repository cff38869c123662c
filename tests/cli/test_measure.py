"""`callreel measure` as a command line."""

from pathlib import Path

from sqlalchemy import delete

from callreel.store.calls import measures
from callreel.store.db import tables
from tests.support.program import callreel, the_line
from tests.support.seed import DONE, SUSPECT, seed


def test_earlier_calls_are_measured_once(tmp_path: Path) -> None:
    place = seed(tmp_path)
    with place.database.write() as conn:
        conn.execute(delete(tables.measures))
    settings = {
        "CALLREEL_DATA_DIR": str(tmp_path / "data"),
        "CALLREEL_DATABASE_URL": f"sqlite:///{tmp_path / 'callreel.db'}",
        "CALLREEL_DEAD_AIR_S": "2",
    }
    ran = callreel("measure", folder=tmp_path, extra=settings)
    assert ran.returncode == 0, ran.stderr
    assert {DONE, SUSPECT} <= {line.split("\t")[0] for line in ran.stdout.splitlines()}
    with place.database.read() as conn:
        found = measures.of_call(conn, DONE)
        left = measures.unmeasured(conn)
    place.database.close()
    assert found is not None and found.silence_limit_ms == 2_000
    assert DONE not in left
    unknown = callreel("measure", "f" * 12, folder=tmp_path, extra=settings)
    assert the_line(unknown).startswith("there is no call ffffffffffff")
