"""docs/api.md describes every route of the API, and no others; docs/openapi.json is the document that the server serves."""

import json
import os
import re
from pathlib import Path
from typing import cast

from fastapi import FastAPI
from starlette.testclient import TestClient

from callreel.web.auth.access import RULES

DOCS = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
OPENAPI = Path(__file__).parents[2] / "docs" / "openapi.json"
ADDRESS = r"/[\w{}/-]+(?:\.[\w{}]+)?"


def shape(address: str) -> str:
    """A path without the names of its parameters."""
    return re.sub(r"\{\w+\}", "{}", address)


def test_every_route_is_described() -> None:
    described = {shape(found) for found in re.findall(ADDRESS, DOCS)}
    ours = {shape(rule.path) for rule in RULES if rule.path.startswith(("/api/v1/", "/calls/"))}
    assert ours - described - {"/calls/{}"} == set()  # the page of a call is not an API


def test_every_described_route_exists() -> None:
    known = {shape(rule.path) for rule in RULES}
    described = {shape(found) for found in re.findall(rf"(?:GET|POST|PUT|PATCH|DELETE) ({ADDRESS})", DOCS)}
    assert described <= known


def test_openapi_document_is_the_one_in_the_repository(stranger: TestClient) -> None:
    """A change of the API shows in a review: `make openapi` writes the file again."""
    served = cast(FastAPI, stranger.app).openapi()
    served["info"]["title"] = "Callreel"
    text = json.dumps(served, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("CALLREEL_WRITE_OPENAPI"):
        OPENAPI.write_text(text, encoding="utf-8")
    assert OPENAPI.read_text(encoding="utf-8") == text, "the API has changed: run make openapi"
