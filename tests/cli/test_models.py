from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.asr.model_hub import ModelHub, serving
from tests.asr.tiny_whisper import build
from tests.support.program import callreel, the_line

REPOSITORY = "Systran/faster-whisper-tiny"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("models") / "tiny", "please check my boiler")


@pytest.fixture
def hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelHub]:
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    with serving({REPOSITORY: {**files, "README.md": b"not wanted"}}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        yield hub


def test_model_is_fetched_once_and_then_loads(hub: ModelHub, tmp_path: Path) -> None:
    fetched = callreel("models", "fetch", "tiny", folder=tmp_path)
    assert fetched.returncode == 0, fetched.stderr
    name, place = fetched.stdout.strip().split("\t")
    assert name == "tiny"
    assert {"model.bin", "config.json", "tokenizer.json"} <= {file.name for file in Path(place).iterdir()}
    assert not any(path.endswith("README.md") for path in hub.asked)
    asked = len(hub.asked)
    assert callreel("models", "fetch", "tiny", folder=tmp_path).stdout == fetched.stdout
    assert len(hub.asked) == asked
    worked = callreel("models", "check", "tiny", folder=tmp_path)
    assert worked.returncode == 0, worked.stderr
    assert worked.stdout.startswith("faster-whisper tiny: loaded in")
    listed = callreel("models", "list", folder=tmp_path).stdout.splitlines()
    assert [line.split()[-1] for line in listed if line.startswith(("tiny ", "base "))] == ["yes", "no"]


def test_model_folder_is_checked_in_place(folder: Path, tmp_path: Path) -> None:
    worked = callreel("models", "check", str(folder), folder=tmp_path)
    assert worked.returncode == 0, worked.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fetch", "smoll"), "did you mean small?"),
        (("fetch", "someone/nothing"), "the model hub has no someone/nothing"),
        (("check", "./nowhere"), "there is no ./nowhere"),
        (("check", "tiny"), "callreel models fetch tiny"),
    ],
)
def test_unavailable_model_is_reported_in_one_line(
    hub: ModelHub, tmp_path: Path, arguments: tuple[str, str], message: str
) -> None:
    assert message in the_line(callreel("models", *arguments, folder=tmp_path))


def test_unreachable_hub_is_reported_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    ended = callreel("models", "fetch", "tiny", folder=tmp_path)
    assert "could not be fetched (ConnectError)" in the_line(ended)
    assert ended.stdout == ""
