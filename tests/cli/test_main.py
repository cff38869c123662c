"""The program: fast help, one error line for each failure, and exit codes."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from callreel.cli.main import app
from callreel.runtime.typed_command import as_typed
from tests.support.program import callreel, environment, the_line

HEAVY = ("numpy", "sqlalchemy", "dbos", "fastapi", "twilio", "httpx2", "pydantic")
COMMANDS = (
    "demo",
    "simulate",
    "serve",
    "work",
    "settings",
    "doctor",
    "user",
    "user add",
    "user list",
    "doctor twiml",
    "doctor call",
)


def test_help_imports_nothing_heavy() -> None:
    program = f"import sys; from callreel.cli.main import main; main(['--help']); print([m for m in {HEAVY} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment())
    assert run.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert "--help" in result.output


def test_texts_name_commands_as_the_program_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "my env" / "bin" / "callreel"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    text = "run `callreel doctor`, see `callreel --help`; callreel-data and /srv/callreel are folders of callreel"

    def shown(started: Path | str, folder: Path, path: Path) -> str:
        monkeypatch.setattr(sys, "argv", [str(started)])
        monkeypatch.setenv("PATH", str(path))
        monkeypatch.chdir(folder)
        return as_typed(text)

    below = text.replace("`callreel", "`'my env/bin/callreel'")
    assert shown(program, tmp_path, tmp_path) == shown("my env/bin/callreel", tmp_path, tmp_path) == below
    assert shown(program, Path(__file__).parent, tmp_path) == text.replace("`callreel", f"`'{program}'")
    assert shown(program, tmp_path, program.parent) == text
    assert shown(tmp_path / "cli" / "main.py", tmp_path, tmp_path) == text


def test_version_is_printed(tmp_path: Path) -> None:
    assert callreel("--version", folder=tmp_path).stdout.startswith("callreel 0.")


def test_unknown_command_and_option_are_reported_in_one_line(tmp_path: Path) -> None:
    command = the_line(callreel("recrod", folder=tmp_path))
    assert "No such command 'recrod'" in command and command.endswith("see `callreel --help`")
    assert "No such option: --prot" in the_line(callreel("serve", "--prot", "1", folder=tmp_path))


def test_unknown_setting_is_reported_by_every_command(tmp_path: Path) -> None:
    expected = "CALLREEL_DATADIR is not a setting; did you mean CALLREEL_DATA_DIR?"
    for command in ("serve", "work", "demo", "simulate", "settings"):
        assert the_line(callreel(command, folder=tmp_path, extra={"CALLREEL_DATADIR": "x"})) == expected


def test_traceback_is_shown_only_with_callreel_debug(tmp_path: Path) -> None:
    wrong = {"CALLREEL_PORT": "x"}
    assert "Traceback" not in callreel("settings", folder=tmp_path, extra=wrong).stderr
    assert "Traceback" in callreel("settings", folder=tmp_path, extra={**wrong, "CALLREEL_DEBUG": "1"}).stderr


def test_server_refuses_a_forbidden_combination_of_settings(tmp_path: Path) -> None:
    line = the_line(callreel("serve", folder=tmp_path, extra={"CALLREEL_RECORDING_TRACK": "inbound"}))
    assert "always mono" in line


def test_port_in_use_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for command in (["serve", "--port", port], ["demo", "--port", port]):
            line = the_line(callreel(*command, folder=tmp_path))
            assert f"port {port} of 127.0.0.1 is in use" in line
            assert "--port" in line
    assert list(tmp_path.iterdir()) == []


def test_demo_mode_listens_on_loopback_only(tmp_path: Path) -> None:
    line = the_line(callreel("serve", "--demo", "--host", "0.0.0.0", "--port", "1", folder=tmp_path))
    assert "demo mode listens on loopback only" in line


def test_foreign_host_is_reported_in_one_line(tmp_path: Path) -> None:
    assert "is not available" in the_line(
        callreel("serve", "--host", "192.0.2.1", "--port", "8001", folder=tmp_path)
    )


def test_closed_output_pipe_is_not_an_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "callreel.cli.main", "settings", "--json"]
    run = subprocess.run(
        command, cwd=tmp_path, env=environment(), stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert run.stderr == ""
    assert run.returncode == 1
