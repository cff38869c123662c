"""Serious accessibility violations of a page, found by axe-core."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "ui/node_modules/axe-core/axe.min.js"
_RUN = "async () => await axe.run(document, {resultTypes: ['violations']})"


def need_axe() -> None:
    """Skip the test if axe-core is missing; fail if CI is set."""
    if AXE.exists():
        return
    lacking = "axe-core is not here; run: make ui"
    if os.environ.get("CI"):
        pytest.fail(lacking)
    pytest.skip(lacking)


def serious_violations(page: Page) -> list[str]:
    """One line per violated rule: its name, the first element, what to do."""
    page.evaluate(AXE.read_text())
    return [
        f"{page.url}: {one['id']}: {one['nodes'][0]['html'][:160]} {one['nodes'][0].get('failureSummary', '')[:300]}"
        for one in page.evaluate(_RUN)["violations"]
        if one["impact"] in ("serious", "critical")
    ]
