import pytest

from tests.web.conftest import As


def test_vocabulary_is_replaced_as_a_whole(signed_in: As) -> None:
    sam, maria = signed_in("sam"), signed_in("maria")
    assert maria.get("/api/v1/vocabulary").json() == {"phrases": [], "entries": []}
    kept = sam.put("/api/v1/vocabulary", json={"phrases": ["stop  cock", "Vaillant", "Vaillant"]})
    assert kept.status_code == 200
    assert kept.json()["phrases"] == ["Vaillant", "stop cock"]
    assert {entry["by"] for entry in kept.json()["entries"]} == {"sam"}
    assert maria.get("/api/v1/vocabulary").json() == kept.json()
    assert sam.put("/api/v1/vocabulary", json={"phrases": ["Vaillant"]}).json()["phrases"] == ["Vaillant"]


@pytest.mark.parametrize("phrases", [[""], ["a, b"], ["x" * 81], "Vaillant", ["x"] * 1001])
def test_invalid_vocabulary_is_refused(signed_in: As, phrases: object) -> None:
    assert signed_in("sam").put("/api/v1/vocabulary", json={"phrases": phrases}).status_code == 422


def test_agents_read_but_do_not_change_the_vocabulary(signed_in: As) -> None:
    assert signed_in("maria").put("/api/v1/vocabulary", json={"phrases": []}).status_code == 403


def test_engine_report_requires_the_right_to_read_all_calls(signed_in: As) -> None:
    assert signed_in("sam").get("/api/v1/engines").json() == {}
    assert signed_in("maria").get("/api/v1/engines").status_code == 403
