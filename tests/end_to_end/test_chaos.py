"""The short form of `benchmarks/chaos`: the long one, with its figures, is in docs/reliability.md."""

from pathlib import Path

import pytest
from benchmarks import chaos

from tests.support.encryption import MASTER
from tests.support.postgres import postgres_server

KILL_LOSES_MS = 1_000
"""On a quiet machine 200 (docs/reliability.md). What a busy one had received and not yet had time to write counts too."""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("calls", "kills", "master"),
    [(6, 4, None), pytest.param(3, 2, MASTER, marks=pytest.mark.long)],
    ids=["plain", "encrypted"],
)
def test_kills_at_random_instants_lose_and_double_nothing(
    tmp_path: Path, calls: int, kills: int, master: str | None
) -> None:
    report = chaos.run(calls, kills, tmp_path, master=master, seed=4)
    assert (report.calls, report.kills) == (calls, kills)
    assert report.clean, report.findings
    assert report.audio_lost_ms_max <= KILL_LOSES_MS


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_kills_lose_and_double_nothing_on_postgresql(tmp_path: Path) -> None:
    with postgres_server() as server:
        report = chaos.run(4, 2, tmp_path, database_url=server.new_url(), seed=5)
    assert report.clean, report.findings
    assert report.audio_lost_ms_max <= KILL_LOSES_MS
