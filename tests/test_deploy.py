"""The files of docs/deploy.md name what exists, and the units are as closed as it says."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from callreel.settings import Settings, env_names

DEPLOY = Path(__file__).parents[1] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
MAX_EXPOSURE = 2.5


def test_every_setting_of_the_files_exists() -> None:
    known = {name for field in Settings.model_fields for name in env_names(field)}
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            named = set(re.findall(r"\b(?:CALLREEL|TWILIO)_[A-Z_]+\b", path.read_text()))
            assert named - known == set(), path


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_is_hardened(unit: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing: install the package systemd")
    run = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", unit], capture_output=True, text=True, check=True
    )
    [exposure] = re.findall(r"Overall exposure level for \S+: ([\d.]+)", run.stdout)
    assert float(exposure) <= MAX_EXPOSURE


def test_units_differ_in_what_they_run_alone() -> None:
    """One hardening for both, so that neither falls behind."""
    differing = ("# A worker", "# The server", "Description=", "ExecStart=", "# 1,000 media", "# Database")
    texts = [
        [line for line in unit.read_text().splitlines() if not line.startswith(differing)] for unit in UNITS
    ]
    assert len(texts) == 2 and texts[0] == texts[1]
