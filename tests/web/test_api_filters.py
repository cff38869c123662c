"""Saved filters: one's own, checked as the list checks them, with a link that carries the whole filter."""

import pytest
from fastapi.testclient import TestClient

from tests.web.conftest import As

FILTERS = "/api/v1/filters"


def test_filter_is_saved_shown_replaced_and_deleted(signed_in: As) -> None:
    sam, maria = signed_in("sam"), signed_in("maria")
    saved = sam.post(
        FILTERS, json={"name": "To review", "query": "?sort=silence&reviewed=false&q=left+gauge"}
    )
    assert saved.status_code == 201
    assert saved.json()["query"] == "q=left+gauge&reviewed=false&sort=silence"
    assert 'href="/?q=left+gauge&amp;reviewed=false&amp;sort=silence">To review</a>' in sam.get("/").text
    assert maria.get(FILTERS).json() == {"filters": []}
    assert "To review" not in maria.get("/").text
    again = sam.post(FILTERS, json={"name": "To review", "query": "reviewed=false"}).json()
    assert sam.get(FILTERS).json() == {"filters": [again]}
    assert maria.delete(f"{FILTERS}/{again['id']}").status_code == 404
    assert sam.delete(f"{FILTERS}/{again['id']}").status_code == 204
    assert sam.get(FILTERS).json() == {"filters": []}


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?",
        "odd=1",
        "q=",
        "limit=5",
        "before=x",
        "verdict=good",
        "label=x",
        "q=" + "x" * 501,
        "reviewed=false&odd=1",
    ],
)
def test_query_that_is_no_filter_is_refused(ada: TestClient, query: str) -> None:
    assert ada.post(FILTERS, json={"name": "odd", "query": query}).status_code == 422
    assert ada.get(FILTERS).json() == {"filters": []}


def test_person_has_at_most_fifty(ada: TestClient) -> None:
    for number in range(50):
        assert ada.post(FILTERS, json={"name": f"f{number}", "query": "held=1"}).status_code == 201
    assert ada.post(FILTERS, json={"name": "f50", "query": "held=1"}).status_code == 409
    assert ada.post(FILTERS, json={"name": "f49", "query": "notes=1"}).status_code == 201
