"""A missing requirement skips its tests with a line that says what to do, and fails them if CI is set."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import postgres
from tests.web import axe, chromium


def need_postgres() -> None:
    with postgres.postgres_server():
        pass


@pytest.fixture(autouse=True)
def nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(chromium, "CHROMIUM", str(tmp_path / "chromium"))
    monkeypatch.setattr(axe, "AXE", tmp_path / "axe.js")
    monkeypatch.setattr(postgres, "programs", lambda: None)


NEEDS = [
    (chromium.need_chromium, "install the package chromium-headless-shell"),
    (axe.need_axe, "run: make ui"),
    (need_postgres, "sh scripts/get_postgres.sh"),
]


@pytest.mark.parametrize(("need", "what_to_do"), NEEDS)
def test_missing_requirement_skips_with_instructions(
    need: Callable[[], None], what_to_do: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=what_to_do):
        need()


@pytest.mark.parametrize(("need", "what_to_do"), NEEDS)
def test_missing_requirement_fails_in_ci(
    need: Callable[[], None], what_to_do: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=what_to_do):
        need()
