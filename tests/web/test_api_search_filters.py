"""Filters typed into the search, by the API: the same calls as by the list's own filters, faults in one line, own calls only."""

import pytest
from fastapi.testclient import TestClient

from callreel.domain.call import Role
from callreel.domain.cost import Prices
from callreel.store.calls import phrase_alerts
from callreel.store.people import technicians
from callreel.web.options import WebOptions
from tests.support.rows import a_rule
from tests.support.seed import ABSENT, DONE, LIVE, NOON, NUMBER, SUSPECT, Seed
from tests.web.call_list import attach, ids, new_label
from tests.web.conftest import As, MakeApp, browser_of

EVERY = [LIVE, ABSENT, SUSPECT, DONE]


def refusal(browser: TestClient, **params: str) -> str:
    answer = browser.get("/api/v1/calls", params=params)
    assert answer.status_code == 422, answer.text
    message = str(answer.json()["error"]["message"])
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({"q": "agent:jonas"}, [SUSPECT]),
        ({"q": "agent:maria gauge"}, [DONE]),
        ({"q": "agent:jonas gauge"}, []),
        ({"q": 'gauge agent:"maria"', "agent": "maria"}, [DONE]),
        ({"q": "after:2026-11-22"}, EVERY),
        ({"q": "before:2026-11-22"}, []),
        ({"q": "before:2026-11-23 after:2026-11-22"}, EVERY),
        ({"q": "after:2026-11-22T12:10:00Z before:2026-11-22T12:20:00Z"}, [SUSPECT]),
        ({"q": "after:2026-11-22T12:10:00Z", "from": "2026-11-22T12:20:00Z"}, [LIVE, ABSENT]),
        ({"q": "before:2026-11-23", "to": "2026-11-22T12:10:00Z"}, [DONE]),
        ({"q": "after:2026-11-23", "zone": "Pacific/Kiritimati"}, EVERY),
        ({"q": "before:2026-11-22", "zone": "America/New_York"}, []),
        ({"q": "before:2026-11-23", "zone": "Pacific/Kiritimati"}, []),
        ({"q": "number:212-555"}, EVERY),
        ({"q": "number:999"}, []),
        ({"q": "party:agent gauge"}, [DONE]),
        ({"q": "party:Technician gauge"}, []),
        ({"q": "party:technician"}, EVERY),
        ({"q": "ratio:two"}, []),
        ({"q": '"agent:maria"'}, []),
        ({"q": "agent:maria -gauge -morning"}, [LIVE, ABSENT]),
    ],
)
def test_typed_filters_select_calls(ada: TestClient, params: dict[str, str], wanted: list[str]) -> None:
    assert ids(ada, **params) == wanted


@pytest.mark.parametrize(
    ("params", "line"),
    [
        ({"q": "agent:"}, "'agent:' expects a value directly after the colon, in quotes if it has spaces."),
        ({"q": "-agent:maria"}, "'agent:' cannot be excluded; remove the minus sign before it."),
        ({"q": "agent:maria agent:jonas"}, "'agent:' has 2 different values; remove all but one."),
        ({"q": "agent:maria", "agent": "jonas"}, "'agent:' has another value among the filters; remove one of the two."),
        ({"q": "number:1", "number": "lee"}, "'number:' has another value among the filters; remove one of the two."),
        ({"q": "number:%"}, "'number:' expects digits of a number, or a part of a name."),
        ({"q": "before:soon"}, "'before:' expects a day such as 2026-11-22, or a time such as 2026-11-22T12:00:00Z."),
        ({"q": "label:complaint"}, "'label:' names no label of the team."),
        ({"q": "party:both"}, "'party:' expects Agent or Technician."),
    ],
)  # fmt: skip
def test_unusable_filter_is_refused_in_one_line(ada: TestClient, params: dict[str, str], line: str) -> None:
    assert refusal(ada, **params) == line


def test_label_and_technician_are_typed_by_name(ada: TestClient, place: Seed) -> None:
    label, other = new_label(ada, "Data request"), new_label(ada, "praise")
    attach(ada, DONE, label)
    attach(ada, SUSPECT, other)
    with place.database.write() as conn:
        technicians.add(conn, "Lee Ann", NUMBER, NOON)
    assert ids(ada, q='label:"data request"') == ids(ada, q='label:"DATA REQUEST" gauge number:lee') == [DONE]
    assert ids(ada, q="label:praise", label=str(other)) == [SUSPECT]
    assert refusal(ada, q="label:praise", label=str(label)).startswith("'label:' has another value")


def test_alerts_are_filtered_by_rule(signed_in: As, place: Seed) -> None:
    sam, maria = signed_in("sam"), signed_in("maria")
    refund = a_rule(place.database).rule
    greeting = a_rule(place.database, name="Missing greeting").rule
    with place.database.write() as conn:
        phrase_alerts.put(conn, DONE, refund, Role.AGENT, "agent-1", NOON, (1, 2))
        phrase_alerts.put(conn, DONE, refund, Role.AGENT, "agent-2", NOON, (3, 4))
        phrase_alerts.put(conn, SUSPECT, greeting, None, phrase_alerts.MISSING, NOON)
    assert ids(sam, alert="any") == ids(sam, q="alert:any") == [SUSPECT, DONE]
    assert ids(sam, alert=str(refund.id)) == ids(sam, q="alert:refund gauge", alert=str(refund.id)) == [DONE]
    assert (
        ids(sam, q='alert:"missing greeting"') == ids(sam, alert=str(greeting.id), sort="newest") == [SUSPECT]
    )
    assert ids(sam, alert="4711") == []
    assert refusal(sam, q="alert:lost").startswith("'alert:' names no phrase rule")
    assert refusal(sam, q="alert:refund", alert="any").startswith("'alert:' has another value")
    assert sam.get("/api/v1/calls?alert=none").status_code == 422
    assert f'<option value="{refund.id}">Refund</option>' in sam.get("/").text
    assert ids(maria, alert="any") == ids(maria, q="alert:refund") == [DONE]
    assert ids(maria, q='alert:"missing greeting"') == ids(maria, q="alert:lost") == []
    # Nor does a second value tell them whether a name is that of a rule.
    for typed in ('alert:"missing greeting"', "alert:lost", "alert:any"):
        assert ids(maria, q=typed, alert=str(greeting.id)) == [], typed
    assert ids(maria, q="alert:lost", alert="any") == ids(maria, q="alert:refund", alert="any") == []
    assert "Refund" not in maria.get("/").text


def test_displayed_name_of_a_party_is_accepted(make_app: MakeApp, place: Seed) -> None:
    names = {Role.AGENT: "service desk", Role.TECHNICIAN: "caller"}
    browser = browser_of(make_app(WebOptions(prices=Prices(), role_names=names)), place, "ada")
    assert ids(browser, q='party:"Service Desk" gauge') == ids(browser, q="party:agent gauge") == [DONE]
    assert refusal(browser, q="party:me") == "'party:' expects service desk or caller."
    assert "party:caller</code>" in browser.get("/").text


def test_agents_find_own_calls_only_by_typed_filters(signed_in: As) -> None:
    maria, zoe = signed_in("maria"), signed_in("zoe")
    assert ids(maria, q="agent:jonas") == []
    assert ids(maria, q="number:212") == [LIVE, ABSENT, DONE]
    assert ids(zoe, q="agent:maria gauge") == ids(zoe, q="party:agent gauge") == []
    assert "<code>agent:maria</code>" in signed_in("sam").get("/").text
    assert "<code>agent:maria</code>" not in maria.get("/").text


def test_saved_filter_keeps_what_was_typed(signed_in: As) -> None:
    sam = signed_in("sam")
    typed = {"name": "Jonas", "query": "q=agent%3Ajonas+before%3A2026-12-01"}
    saved = sam.post("/api/v1/filters", json=typed).json()
    answer = sam.get(f"/api/v1/calls?{saved['query']}").json()
    assert [call["call_id"] for call in answer["calls"]] == [SUSPECT]
