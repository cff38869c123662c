"""The source distribution makes the wheel, and the wheel alone runs the demo: pages, voices and migrations are in it."""

import hashlib
import json
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.voices import demo_arguments
from tests.support.program import environment

ROOT = Path(__file__).parents[1]
NEVER_SHIPPED = {"tests", "benchmarks", "ui", ".ci"}


def build(kind: str, source: Path, target: Path) -> Path:
    """Build the `sdist` or `wheel` of a source tree."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    [made] = target.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the unpacked source distribution."""
    folder = tmp_path_factory.mktemp("package")
    with tarfile.open(build("sdist", ROOT, folder / "sdist")) as archive:
        archive.extractall(folder, filter="data")
    [unpacked] = folder.glob("callreel-*")
    return build("wheel", unpacked, folder / "wheel")


@pytest.fixture
def python(wheel: Path, tmp_path: Path) -> Iterator[Path]:
    """The Python of an environment with the wheel and the libraries beside these tests, without this source tree."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    [site] = (tmp_path / "venv" / "lib").glob("python3*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))  # its own .pth files are not read
    yield tmp_path / "venv" / "bin" / "python"


def test_wheel_has_every_file_of_the_program_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "src/callreel"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    ours = {name.removeprefix("src/") for name in listed.stdout.split() if (ROOT / name).exists()}
    assert names == ours and len(ours) > 300
    assert not {name.split("/")[0] for name in names} & NEVER_SHIPPED


FOREIGN = {
    "TWILIO_AUTH_TOKEN": "the-token-of-a-real-account",
    "CALLREEL_DATABASE_URL": "sqlite:////nowhere/of-a-real-installation.db",
    "CALLREEL_RECORDING_TRIM": "trim-silence",
    "CALLREEL_ENGINE_WORKERS": "1",
}


@pytest.mark.slow
def test_demo_of_the_wheel_is_verified_and_stored_as_summarized(python: Path, tmp_path: Path) -> None:
    clean = {name: value for name, value in environment(FOREIGN).items() if name != "PYTHONPATH"}
    run = subprocess.run(
        [python, "-m", "callreel.cli.main", *demo_arguments(tmp_path, seconds=9), "--json"],
        cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    call = json.loads(run.stdout)
    assert {"call_sid", "verdict", "reasons", "layers", "turns", "live_turns", "cost"} <= set(call)
    assert call["verdict"] == "verified"
    assert sorted((layer["layer"], layer["role"] or "") for layer in call["layers"]) == [
        ("cloud", ""),
        ("cloud_channel", "agent"),
        ("cloud_channel", "technician"),
        ("live_16k", "agent"),
        ("live_16k", "technician"),
        ("live_8k", "agent"),
        ("live_8k", "technician"),
    ]
    for layer in call["layers"]:
        content = (tmp_path / "kept" / layer["path"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == layer["sha256"]
    assert {turn["role"] for turn in call["turns"]} == {"agent", "technician"}
    pages, verdict = run.stderr.splitlines()[-2:]
    assert f"CALLREEL_DATA_DIR={tmp_path}/kept callreel serve --demo --port " in pages
    assert pages.endswith(f"/calls/{call['call_id']}")
    assert verdict == f"callreel demo: verified; the call is stored in {tmp_path}/kept"
    assert "Traceback" not in (tmp_path / "kept" / "server.log").read_text(encoding="utf-8")
    where = "import callreel; print(callreel.__file__)"
    found = subprocess.run([python, "-c", where], env=clean, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).is_relative_to(tmp_path)
