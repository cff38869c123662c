"""`callreel simulate` and `callreel doctor` against a running server."""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.voices import write_voice
from tests.support import preloaded
from tests.support.program import callreel, environment, free_port, the_line


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    port = free_port()
    return {
        "CALLREEL_PORT": str(port),
        "CALLREEL_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "CALLREEL_CARRIER_API_URL": f"http://127.0.0.1:{free_port()}",
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": "a-token-for-tests",
        "CALLREEL_SHARED_KEYS": "webhooks_sharedkey_1=a-key-for-tests",
        "TWILIO_PHONE_NUMBER": "+12025550123",
        "CALLREEL_ENGINE_WORKERS": "1",
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, settings: dict[str, str]) -> Iterator[Path]:
    """The working folder of a running server."""
    path = tmp_path_factory.mktemp("server")
    server = preloaded.start(["serve"], environment(settings), path, path / "log")
    try:
        until_up(f"http://127.0.0.1:{settings['CALLREEL_PORT']}/health", server)
        yield path
    finally:
        server.terminate()
        assert server.wait(30) == 0, (path / "log").read_text()


def until_up(url: str, server: preloaded.Process) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.URLError:
            assert server.poll() is None, "the server ended"
            assert time.monotonic() < until, "the server did not come up"
            time.sleep(0.05)  # polls another process


@pytest.mark.slow
def test_doctor_reports_an_unreachable_carrier_only(folder: Path, settings: dict[str, str]) -> None:
    run = callreel("doctor", folder=folder, extra=settings)
    assert run.returncode == 1
    [problem] = [line for line in run.stdout.splitlines() if line.startswith("✗")]
    assert problem.startswith(f"✗ carrier: not checked at {settings['CALLREEL_CARRIER_API_URL']}"), run.stdout
    for what in ("server", "signed voice request", "signed callback", "unsigned callback", "media socket"):
        assert f"✓ {what}: " in run.stdout
    wrong = callreel("doctor", folder=folder, extra={**settings, "TWILIO_AUTH_TOKEN": "another-token"})
    assert wrong.returncode == 1
    for what in ("signed voice request", "signed callback", "media socket"):
        assert f"✗ {what}: " in wrong.stdout
    port = settings["CALLREEL_PORT"]
    assert callreel("doctor", "call", "CA" + "0" * 32, folder=folder, extra=settings).returncode == 2
    assert port in run.stdout


@pytest.mark.slow
def test_simulated_call_is_explained_by_doctor(
    folder: Path, settings: dict[str, str], tmp_path: Path
) -> None:
    voice = str(write_voice(tmp_path / "voice.wav", seconds=2))
    arguments = ["simulate", "--agent", voice, "--technician", voice, "--speed", "10", "--fault", "absent"]
    run = callreel(*arguments, "--json", folder=folder, extra=settings)
    assert run.returncode == 0, run.stderr
    outcome = json.loads(run.stdout)
    assert outcome["status"] == "completed"
    assert [recording["status"] for recording in outcome["recordings"]] == ["absent"]
    assert all(webhook["attempts"][-1] in (200, 204) for webhook in outcome["webhooks"])
    explained = callreel("doctor", "call", outcome["call_sid"], folder=folder, extra=settings)
    assert explained.returncode == 1
    assert re.search(r"absent: .*silent, and the account deletes silent recordings", explained.stdout)


@pytest.mark.slow
def test_refused_call_has_exit_code_1(folder: Path, settings: dict[str, str]) -> None:
    run = callreel("simulate", "--to", "+4930123456", "--speed", "10", folder=folder, extra=settings)
    assert run.returncode == 1, run.stderr


@pytest.mark.slow
def test_webhooks_may_be_signed_with_a_shared_key(folder: Path, settings: dict[str, str]) -> None:
    arguments = ("simulate", "--to", "+4930123456", "--json", "--shared-key")
    run = callreel(*arguments, "webhooks_sharedkey_1", folder=folder, extra=settings)
    assert json.loads(run.stdout)["webhooks"][0]["attempts"] == [200], run.stderr
    unknown = {**settings, "CALLREEL_SHARED_KEYS": "webhooks_sharedkey_2=another-key"}
    assert "webhooks_sharedkey_1 is unknown" in the_line(
        callreel(*arguments, "webhooks_sharedkey_1", folder=folder, extra=unknown)
    )
    other = callreel(*arguments, "webhooks_sharedkey_2", folder=folder, extra=unknown)
    assert json.loads(other.stdout)["webhooks"][0]["attempts"] == [403], other.stderr


def test_list_faults_needs_no_settings(tmp_path: Path) -> None:
    run = callreel("simulate", "--list-faults", folder=tmp_path)
    assert run.returncode == 0
    assert "socket-cut " in run.stdout


def test_missing_shared_settings_are_named(tmp_path: Path) -> None:
    assert "TWILIO_AUTH_TOKEN" in the_line(callreel("simulate", folder=tmp_path))
    known = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "a-token"}
    assert "CALLREEL_CARRIER_API_URL" in the_line(callreel("simulate", folder=tmp_path, extra=known))


def test_unknown_fault_and_invalid_voice_are_refused(tmp_path: Path) -> None:
    assert "'zap'" in the_line(callreel("simulate", "--fault", "zap", folder=tmp_path))
    (tmp_path / "voice.wav").write_text("not a sound", encoding="utf-8")
    assert "expected a WAV file" in the_line(callreel("simulate", "--agent", "voice.wav", folder=tmp_path))
