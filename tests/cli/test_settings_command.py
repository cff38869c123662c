"""`callreel settings`, and the page that it generates."""

import json
from pathlib import Path

from callreel.cli.diagnose.settings import page
from callreel.settings import Settings, env_name
from tests.support.program import callreel

DOCS = Path(__file__).parents[2] / "docs"


def test_every_setting_is_listed_with_source_and_masked(tmp_path: Path) -> None:
    run = callreel(
        "settings", "--json", folder=tmp_path, extra={"TWILIO_AUTH_TOKEN": "hush", "CALLREEL_PORT": "8100"}
    )
    lines = {line["name"]: line for line in json.loads(run.stdout)}
    assert set(lines) == set(Settings.model_fields)
    assert lines["port"]["value_shown"] == "8100"
    assert lines["port"]["source"] == "environment"
    assert lines["auth_token"]["value_shown"] == "********"
    assert "hush" not in run.stdout


def test_list_of_changed_settings(tmp_path: Path) -> None:
    run = callreel("settings", "--changed", folder=tmp_path, extra={"CALLREEL_PORT": "8100"})
    assert run.stdout.splitlines()[0] == "CALLREEL_PORT = 8100   (environment)"
    assert len(run.stdout.splitlines()) == 2


def test_settings_page_is_up_to_date() -> None:
    stored = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert stored == page(), (
        "docs/settings.md is out of date: callreel settings --markdown > docs/settings.md"
    )


def test_every_setting_is_on_the_settings_page() -> None:
    assert [name for name in Settings.model_fields if f"`{env_name(name)}`" not in page()] == []
