"""The short form of the benchmarks: they run and measure correctly. Their figures mean nothing here."""

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

from tests.end_to_end.house import REPOSITORY

needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None, reason="the load generator is C: no compiler named cc here"
)


def figures(module: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", f"benchmarks.{module}", *options, "--json"]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr[-2000:]
    report: dict[str, Any] = json.loads(run.stdout)
    return report


@needs_compiler
def test_ingest_beside_the_bare_server_loses_nothing() -> None:
    report = figures("ingest", "--calls", "4", "--seconds", "3", "--against", "bare")
    assert (report["lost_frames"], report["bit_exact"], report["refused"], report["cut"]) == (0, True, 0, 0)
    assert (report["bare_lost_frames"], report["bare_bit_exact"]) == (0, True)
    for name in (
        "us_per_message",
        "calls_per_core",
        "late_p99_ms",
        "memory_per_call_kb",
        "ratio",
        "begin_ms_per_call",
    ):
        assert report[name] > 0


def test_lists_of_calls_are_answered() -> None:
    report = figures("lists", "--calls", "50", "--rounds", "1")
    assert report["calls"] == 50 and report["answers"] > 50
    for name in ("list_p50_ms", "list_p95_ms", "dashboard_p50_ms", "dashboard_p95_ms"):
        assert report[name] > 0


@needs_compiler
def test_soak_leaves_no_files_descriptors_or_threads() -> None:
    report = figures("soak", "--hours", "0.012", "--calls", "40")
    assert report["stray_files"] == 0
    # One socket, task or file that a call leaves behind would be 40.
    assert report["after"]["descriptors"] < report["before"]["descriptors"] + 36
    assert report["after"]["threads"] < report["before"]["threads"] + 36


def test_attack_beside_recorded_calls_loses_no_frame() -> None:
    options = (
        "--any-speed",
        "--seconds",
        "3",
        "--calls",
        "2",
        "--programs",
        "1",
        "--connections",
        "40",
        "--guesses",
        "4",
    )
    report = figures("attack", *options)
    assert (report["calls"], report["in_progress"], report["lost_frames"], report["unexpected"]) == (
        2,
        2,
        0,
        0,
    )
    assert set(report["callbacks"]) == {"204"} and set(report["pages"]) == {"200"}
    assert report["memory_mb"] < 1_000
    assert set(report["answers"]["guess"]) <= {"0", "401", "429"}, "no guess is let in"
    assert {"correction", "difference", "export", "search", "note", "large body"} <= set(report["answers"])


def test_nothing_is_recorded_before_or_without_consent() -> None:
    report = figures("consent", "--calls", "10")  # each answer in both directions once
    assert (report["calls"], report["agreed"], report["unrecorded"], report["suspect"]) == (10, 4, 0, 0)
    for name in ("early_recordings", "early_frames", "unconsented_recordings", "unconsented_frames"):
        assert report[name] == 0, name
