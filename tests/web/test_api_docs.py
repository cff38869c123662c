"""docs/api.md describes every route of the API, and no others."""

import re
from pathlib import Path

from callreel.web.auth.access import RULES

DOCS = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
ADDRESS = r"/[\w{}/-]+(?:\.[\w{}]+)?"


def shape(address: str) -> str:
    """A path without the names of its parameters."""
    return re.sub(r"\{\w+\}", "{}", address)


def test_every_route_is_described() -> None:
    described = {shape(found) for found in re.findall(ADDRESS, DOCS)}
    ours = {shape(rule.path) for rule in RULES if rule.path.startswith(("/api/v1/", "/calls/"))}
    assert ours - described - {"/calls/{}"} == set()  # the page of a call is no API


def test_every_described_route_exists() -> None:
    known = {shape(rule.path) for rule in RULES}
    described = {shape(found) for found in re.findall(rf"(?:GET|POST|PUT|PATCH|DELETE) ({ADDRESS})", DOCS)}
    assert described <= known
