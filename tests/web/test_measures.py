"""Measures in the API's list, statistics and JSON, and on the pages without script."""

from fastapi.testclient import TestClient

from tests.support.seed import ABSENT, DONE, SUSPECT, Seed
from tests.web.call_list import add_measures
from tests.web.conftest import As


def listed(browser: TestClient, query: str) -> list[str]:
    answer = browser.get(f"/api/v1/calls?{query}")
    assert answer.status_code == 200, answer.text
    return [call["call_id"] for call in answer.json()["calls"]]


def test_list_is_sorted_and_filtered_by_measures(ada: TestClient, place: Seed) -> None:
    add_measures(place)
    assert listed(ada, "sort=silence") == [SUSPECT, DONE, ABSENT]
    assert listed(ada, "sort=duration") == [SUSPECT, DONE, ABSENT]
    assert listed(ada, "sort=monologue") == [SUSPECT, DONE, ABSENT]
    assert listed(ada, "sort=interruptions") == [SUSPECT, ABSENT, DONE]  # the newest among equals
    assert listed(ada, "sort=agent_ratio") == [SUSPECT, DONE]  # where nothing was said there is none
    assert listed(ada, "min_silence_s=60") == [SUSPECT]
    assert listed(ada, "min_silence_s=61") == []
    assert listed(ada, "min_interruptions=1") == [SUSPECT]
    assert listed(ada, "max_agent_ratio=0.63&min_agent_ratio=0.5") == [DONE]
    assert listed(ada, "sort=silence&agent=maria&min_silence_s=1") == [DONE]
    assert ada.get("/api/v1/calls?sort=loudest").status_code == 422


def test_pages_of_a_sorted_list_follow_each_other(ada: TestClient, place: Seed) -> None:
    add_measures(place)
    for sort, expected in (("interruptions", [SUSPECT, ABSENT, DONE]), ("agent_ratio", [SUSPECT, DONE])):
        found, before = [], ""
        while True:
            answer = ada.get("/api/v1/calls", params={"sort": sort, "limit": 1, "before": before}).json()
            found += [call["call_id"] for call in answer["calls"]]
            before = answer["next_before"]
            if before is None:
                break
        assert found == expected
    assert ada.get("/api/v1/calls?sort=silence&before=2026-11-22~a~b").status_code == 422


def test_sorted_list_of_an_agent_has_only_own_calls(signed_in: As, place: Seed) -> None:
    add_measures(place)
    assert listed(signed_in("maria"), "sort=silence") == [DONE, ABSENT]
    assert listed(signed_in("zoe"), "sort=silence") == []


def test_measures_of_a_call_in_the_api_and_its_export(ada: TestClient) -> None:
    call = ada.get(f"/api/v1/calls/{DONE}").json()
    agent = call["measures"]["parties"]["agent"]
    assert (agent["talk_ms"], agent["talk_ratio"], agent["turns"]) == (8_400, 0.6, 3)
    assert agent["speech"] == [[900, 3_700], [8_300, 11_100], [17_000, 19_800]]
    assert call["measures"]["silences"][0] == {"start_ms": 7_000, "end_ms": 8_300}
    exported = ada.get(f"/calls/{DONE}/transcript.json").json()
    assert exported["call"]["measures"] == call["measures"]
    head = next(one for one in ada.get("/api/v1/calls").json()["calls"] if one["call_id"] == DONE)["measures"]
    assert (head["agent_ratio"], head["silences"], head["silence_ms"]) == (0.6, 3, 4_400)


def test_statistics_by_day_and_agent(ada: TestClient, signed_in: As, place: Seed) -> None:
    add_measures(place)
    period = "from=2026-11-22&to=2026-11-22"
    report = ada.get(f"/api/v1/statistics?{period}").json()
    [day], agents = report["days"], {one["agent"]: one for one in report["agents"]}
    assert (day["measured"], day["silence_ms"], day["interruptions"], day["overlap_ms"]) == (
        3,
        64_400,
        1,
        2_000,
    )
    assert (agents["jonas"]["interruptions"], agents["jonas"]["agent_interruptions"]) == (1, 1)
    assert agents["maria"]["silence_ms"] == 4_400
    assert sum(one["calls"] for one in report["agents"]) == day["calls"] == report["total"]["calls"]
    page = ada.get(f"/statistics?{period}").text
    assert "Calls by agent" in page and "/?agent=jonas&amp;from=2026-11-22" in page
    maria = signed_in("maria")
    assert [one["agent"] for one in maria.get(f"/api/v1/statistics?{period}").json()["agents"]] == ["maria"]


def test_month_is_the_same_whatever_period_is_shown(ada: TestClient) -> None:
    months = {
        ada.get(f"/api/v1/statistics?{period}").json()["month_cost"]
        for period in ("", "from=2026-11-22&to=2026-11-22", "from=2020-01-01&to=2020-01-01")
    }
    assert len(months) == 1


def test_pages_show_measures_without_script(ada: TestClient) -> None:
    assert "Agent talks 60% · silence 0:04" in ada.get("/").text
    page = ada.get(f"/calls/{DONE}").text
    assert '<path class="lane agent" d="M45 1h140v8H45z' in page
    assert "Silences of 1 s or more: 3" in page and 'href="#t=7.0"' in page
    assert 'id="measures"' not in ada.get(f"/calls/{SUSPECT}").text
