"""The committed build of the pages' script matches its sources in `ui/`."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scripts import ui_current

from callreel.web.pages.render import BUILT

ROOT = Path(__file__).parents[2]
UI = ROOT / "ui"


def test_built_files_match_their_sources() -> None:
    assert ui_current.is_current(), "ui/ has changed since it was built; run: make ui"


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A copy of the sources in which one file was changed after the last build."""
    for name in ("scripts/ui_current.py", "src/callreel/web/static/built/sources.sha256"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ui_current.INPUTS:
        copy = shutil.copytree if (UI / name).is_dir() else shutil.copy
        (tmp_path / "ui").mkdir(exist_ok=True)
        copy(UI / name, tmp_path / "ui" / name)
    with (tmp_path / "ui/src/app.ts").open("a") as source:
        source.write("// changed\n")
    return tmp_path


def run_before_demo(folder: Path, programs: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(folder / "scripts/ui_current.py")],
        env={**os.environ, "PATH": str(programs)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_demo_without_npm_warns_and_continues(changed: Path, tmp_path: Path) -> None:
    done = run_before_demo(changed, tmp_path / "no programs")
    assert (done.returncode, done.stdout) == (0, "")
    assert "Install Node.js 20.19 or newer, then run: make ui" in done.stderr
    (changed / "ui/src/app.ts").write_bytes((UI / "src/app.ts").read_bytes())
    assert run_before_demo(changed, tmp_path / "no programs").stderr == ""


def test_demo_with_npm_rebuilds_changed_sources(changed: Path, tmp_path: Path) -> None:
    npm = tmp_path / "bin/npm"
    npm.parent.mkdir()
    npm.write_text('#!/bin/sh\necho "npm $1 in $(basename "$PWD")"\n')
    npm.chmod(0o755)
    done = run_before_demo(changed, Path(f"{npm.parent}{os.pathsep}/usr/bin{os.pathsep}/bin"))
    assert done.returncode == 0
    assert "npm ci in ui" in done.stdout
    assert "npm run in ui" in done.stdout


def test_manifest_lists_all_built_files() -> None:
    manifest = json.loads((BUILT / "manifest.json").read_bytes())
    named = {entry["file"] for entry in manifest.values()}
    assert {path.name for path in BUILT.glob("*.js")} == named
    assert manifest["src/app.ts"]["isEntry"] is True


def test_package_lock_names_no_registry() -> None:
    assert "registry" not in (UI / "package-lock.json").read_text()
