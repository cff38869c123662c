"""Facets of the list of calls by the API: the same calls as the list, without a facet's own filter; own calls only."""

from typing import Any

from fastapi.testclient import TestClient

from callreel.insight.moment_kind import MomentKind
from callreel.store.calls import facets
from callreel.store.calls.call_list import CallFilter
from callreel.store.insight import topics
from tests.support.seed import DONE, SUSPECT, Seed
from tests.web.call_list import attach, ids, new_label
from tests.web.conftest import As

FACETS = "/api/v1/facets"


def counts(browser: TestClient, **params: str) -> dict[str, dict[str, int]]:
    return {facet["name"]: _calls(facet) for facet in answer(browser, **params)}


def answer(browser: TestClient, **params: str) -> Any:
    found = browser.get(FACETS, params=params)
    assert found.status_code == 200, found.text
    return found.json()["facets"]


def _calls(facet: Any) -> dict[str, int]:
    return {value["value"]: value["calls"] for value in facet["values"]}


def add_moments(place: Seed) -> None:
    with place.database.write() as conn:
        for call_id, kinds in (
            (DONE, {MomentKind.COMPLAINT, MomentKind.THANKS}),
            (SUSPECT, {MomentKind.THANKS}),
        ):
            topics.set_due(conn, call_id)
            topics.put(conn, call_id, dict(topics.due(conn, 10))[call_id], None, kinds)


def test_each_count_is_the_length_of_its_list(ada: TestClient, place: Seed) -> None:
    label, other = str(new_label(ada)), str(new_label(ada, "praise"))
    for call_id, label_id in ((DONE, label), (SUSPECT, label), (SUSPECT, other)):
        attach(ada, call_id, int(label_id))
    add_moments(place)
    chosen: list[dict[str, str]] = [
        {}, {"agent": "maria"}, {"verdict": "none"}, {"label": label}, {"moment": "thanks"}, {"min_s": "1"}, {"q": "gauge"},
        {"agent": "jonas", "label": other, "moment": "thanks", "verdict": "suspect", "direction": "outgoing"},
    ]  # fmt: skip
    for params in chosen:
        found = counts(ada, **params)
        assert list(found) == ["agent", "verdict", "label", "direction", "moment"]
        for name, values in found.items():
            if name in ("agent", "verdict", "direction"):  # of which each call has one
                others = {key: value for key, value in params.items() if key != name}
                assert sum(values.values()) == len(ids(ada, **others)), (params, name)
            for value, number in values.items():
                assert number == len(ids(ada, **{**params, name: value})), (params, name, value)
    assert counts(ada, q="gauge") == counts(ada, q="gauge agent:maria") | {"agent": {"maria": 1}}


def test_chosen_value_is_marked_however_it_was_chosen_and_without_calls_too(ada: TestClient) -> None:
    label = str(new_label(ada, "Data request"))
    for params in ({"label": label, "q": "zebra"}, {"q": 'label:"data request" zebra'}):
        [value] = next(facet["values"] for facet in answer(ada, **params) if facet["name"] == "label")
        assert value == {"value": label, "name": "Data request", "calls": 0, "chosen": True}


def test_agents_count_own_calls_only(signed_in: As, place: Seed) -> None:
    sam, maria, zoe = signed_in("sam"), signed_in("maria"), signed_in("zoe")
    assert counts(sam)["agent"] == {"maria": 3, "jonas": 1}
    assert list(counts(maria)) == ["verdict", "label", "direction", "moment"]
    assert sum(counts(maria)["verdict"].values()) == 3
    assert counts(maria, agent="jonas")["verdict"] == counts(zoe)["verdict"] == {}


def test_moment_is_typed_into_the_search(ada: TestClient, place: Seed) -> None:
    add_moments(place)
    assert ids(ada, q="moment:Complaint") == [DONE] == ids(ada, q="moment:thanks agent:maria")
    refused = ada.get("/api/v1/calls", params={"q": "moment:joke"})
    expected = "'moment:' expects one of question, number, address, promise, thanks, complaint."
    assert (refused.status_code, refused.json()["error"]["message"]) == (422, expected)
    assert ada.get(FACETS, params={"q": "moment:joke"}).json() == refused.json()


def test_only_the_newest_calls_of_the_period_are_counted(place: Seed) -> None:
    with place.database.read() as conn:
        found = facets.count(conn, CallFilter(), most=2)
        assert (sum(found.agents.values()), found.since is None) == (2, False)
        assert sum(facets.count(conn, CallFilter(until=found.since), most=2).agents.values()) == 2
        assert facets.count(conn, CallFilter(), most=4).since is None
