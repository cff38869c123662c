"""The built files of the pages' script are those of the sources in `ui/`: what is installed is what is read."""

import hashlib
import json
from pathlib import Path

from callreel.web.render import BUILT

UI = Path(__file__).parents[2] / "ui"
INPUTS = ("package.json", "package-lock.json", "vite.config.js", "tsconfig.json", "src")


def sources_digest() -> str:
    """As `vite.config.js` counts it."""
    inputs = [UI / name for name in INPUTS]
    files = [path for item in inputs for path in ([item] if item.is_file() else item.rglob("*"))]
    named = {path.relative_to(UI).as_posix(): path for path in files if path.is_file()}
    digest = hashlib.sha256()
    for name in sorted(named):
        digest.update(name.encode() + b"\0" + named[name].read_bytes() + b"\0")
    return digest.hexdigest()


def test_the_built_files_are_fresh() -> None:
    built = (BUILT / "sources.sha256").read_text().strip()
    assert built == sources_digest(), "ui/ has changed since it was built; run: make ui"


def test_the_manifest_names_all_that_is_built() -> None:
    manifest = json.loads((BUILT / "manifest.json").read_bytes())
    named = {entry["file"] for entry in manifest.values()}
    assert {path.name for path in BUILT.glob("*.js")} == named
    assert manifest["src/app.ts"]["isEntry"] is True


def test_no_registry_is_named() -> None:
    assert "registry" not in (UI / "package-lock.json").read_text()
