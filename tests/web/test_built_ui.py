"""The built files of the pages' script are those of the sources in `ui/`: what is installed is what is read."""

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


def test_the_built_files_are_fresh() -> None:
    assert ui_current.is_current(), "ui/ has changed since it was built; run: make ui"


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A copy of what a demo starts from, in which somebody changed a source after the last build."""
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


def before_a_demo(folder: Path, programs: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(folder / "scripts/ui_current.py")],
        env={**os.environ, "PATH": str(programs)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_without_npm_a_demo_says_what_to_do_and_goes_on(changed: Path, tmp_path: Path) -> None:
    done = before_a_demo(changed, tmp_path / "no programs")
    assert (done.returncode, done.stdout) == (0, "")
    assert "Install Node.js 20.19 or newer, then: make ui" in done.stderr
    (changed / "ui/src/app.ts").write_bytes((UI / "src/app.ts").read_bytes())
    assert before_a_demo(changed, tmp_path / "no programs").stderr == ""


def test_with_npm_a_demo_has_them_built(changed: Path, tmp_path: Path) -> None:
    npm = tmp_path / "bin/npm"
    npm.parent.mkdir()
    npm.write_text('#!/bin/sh\necho "npm $1 in $(basename "$PWD")"\n')
    npm.chmod(0o755)
    done = before_a_demo(changed, Path(f"{npm.parent}{os.pathsep}/usr/bin{os.pathsep}/bin"))
    assert done.returncode == 0
    assert "npm ci in ui" in done.stdout
    assert "npm run in ui" in done.stdout


def test_the_manifest_names_all_that_is_built() -> None:
    manifest = json.loads((BUILT / "manifest.json").read_bytes())
    named = {entry["file"] for entry in manifest.values()}
    assert {path.name for path in BUILT.glob("*.js")} == named
    assert manifest["src/app.ts"]["isEntry"] is True


def test_no_registry_is_named() -> None:
    assert "registry" not in (UI / "package-lock.json").read_text()
