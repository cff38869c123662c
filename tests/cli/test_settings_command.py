"""`callreel settings`, and the page that it writes."""

import json
from pathlib import Path

import typer
from typer.main import get_command

from callreel.cli.main import app
from callreel.cli.settings import page
from callreel.settings import Settings, env_name
from tests.support.program import callreel

DOCS = Path(__file__).parents[2] / "docs"


def test_every_setting_is_listed_with_its_source_and_without_its_secret(tmp_path: Path) -> None:
    run = callreel(
        "settings", "--json", folder=tmp_path, extra={"TWILIO_AUTH_TOKEN": "hush", "CALLREEL_PORT": "8100"}
    )
    lines = {line["name"]: line for line in json.loads(run.stdout)}
    assert set(lines) == set(Settings.model_fields)
    assert lines["port"]["value_shown"] == "8100"
    assert lines["port"]["source"] == "environment"
    assert lines["auth_token"]["value_shown"] == "********"
    assert "hush" not in run.stdout


def test_the_list_for_people_says_the_same(tmp_path: Path) -> None:
    run = callreel("settings", "--changed", folder=tmp_path, extra={"CALLREEL_PORT": "8100"})
    assert run.stdout.splitlines()[0] == "CALLREEL_PORT = 8100   (environment)"
    assert len(run.stdout.splitlines()) == 2


def test_the_page_of_settings_is_fresh() -> None:
    stored = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert stored == page(), "docs/settings.md is stale: callreel settings --markdown > docs/settings.md"


def test_every_setting_is_on_the_page() -> None:
    assert [name for name in Settings.model_fields if f"`{env_name(name)}`" not in page()] == []


def test_every_command_is_in_the_docs() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md"))
    assert [name for name in command_names(app) if f"`callreel {name}`" not in text] == []


def command_names(group: typer.Typer) -> list[str]:
    """Commands that do something, those of groups with the group's name before them."""
    names = []
    for name, command in get_command(group).commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", {})
        names += [f"{name} {inner}" for inner in below]
        if not below or command.invoke_without_command:
            names.append(name)
    return names


def test_the_guard_sees_the_commands_of_groups() -> None:
    assert {"demo", "doctor", "doctor twiml", "user add"} <= set(command_names(app))
    assert "user" not in command_names(app)
