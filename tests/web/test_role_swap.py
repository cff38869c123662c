"""Swapping agent and technician of a whole call: what then is displayed, what stays, who may, and how it is undone."""

import csv

import pytest
from fastapi.testclient import TestClient

from callreel.domain.access import Scope
from callreel.domain.call import Role
from callreel.domain.events import EventKind
from callreel.domain.transcript import TranscriptKind
from callreel.store.calls import layers, live_events
from callreel.store.transcripts import transcripts
from tests.support.seed import DONE, LIVE, SAID, SUSPECT, Seed, record
from tests.web.conftest import As, bearer

API = f"/api/v1/calls/{DONE}"
SWAP = f"{API}/swap-roles"
PAGE = f"/calls/{DONE}"


def test_swap_exchanges_the_roles_wherever_they_are_displayed(signed_in: As, place: Seed) -> None:
    sam = signed_in("sam")
    before, days = sam.get(API).json(), sam.get("/api/v1/statistics?from=2026-11-22&to=2026-11-22").json()
    answer = sam.post(SWAP, json={"swapped": True})
    assert answer.status_code == 200 and answer.json()["roles_swapped"] is True
    after = sam.get(API).json()
    for listed in ("turns", "live_turns", "layers"):
        roles = [
            (one["role"], other["role"]) for one, other in zip(before[listed], after[listed], strict=True)
        ]
        assert roles and all(
            one is None if other is None else Role(one).other == other for one, other in roles
        )
    assert [file["url"] for file in after["layers"]] == [file["url"] for file in before["layers"]]
    assert (after["agent"], after["number"]) == (before["agent"], before["number"])
    assert csv_roles(sam.get(f"{PAGE}/transcript.csv").text) == [role.other for role, *_ in SAID]
    assert "Agent: hello i am in front" in sam.get(f"{PAGE}/transcript.txt").text
    hit = sam.get("/api/v1/calls?q=roof").json()["calls"][0]["hits"][0]
    assert hit["role"] == "agent"
    spoken = days["total"]["speech_ms"]
    swapped = sam.get("/api/v1/statistics?from=2026-11-22&to=2026-11-22").json()["total"]["speech_ms"]
    own = 2800 * sum(1 if role is Role.AGENT else -1 for role, *_ in SAID)
    assert swapped == {"agent": spoken["agent"] - own, "technician": spoken["technician"] + own}


def csv_roles(text: str) -> list[str]:
    return [row[2] for row in csv.reader(text.splitlines())][1:]


def test_swap_leaves_rows_and_files_as_recorded(signed_in: As, place: Seed) -> None:
    with place.database.read() as conn:
        before = layers.of_call(conn, DONE), transcripts.latest(conn, DONE, TranscriptKind.FINAL)
    signed_in("sam").post(SWAP, json={"swapped": True})
    with place.database.read() as conn:
        assert before == (layers.of_call(conn, DONE), transcripts.latest(conn, DONE, TranscriptKind.FINAL))


def test_swap_is_reversible_and_audited(signed_in: As) -> None:
    sam, ada = signed_in("sam"), signed_in("ada")
    before = sam.get(API).json()
    for _ in range(2):  # a repeated request changes nothing
        sam.post(SWAP, json={"swapped": True})
    page = sam.get(PAGE).text
    assert "Swapped by sam" in page and "Restore recorded roles" in page
    restored = ada.post(SWAP, json={"swapped": False}).json()
    assert [(swap["swapped"], swap["by"]) for swap in restored["role_swaps"]] == [
        (False, "ada"), (True, "sam"),
    ]  # fmt: skip
    after = sam.get(API).json()
    assert after.pop("role_swaps") == restored["role_swaps"] and before.pop("role_swaps") == []
    assert after == before
    assert sam.get("/api/v1/calls?q=roof").json()["calls"][0]["hits"][0]["role"] == "technician"


def test_correction_of_a_swapped_call_keeps_the_displayed_role(signed_in: As) -> None:
    sam = signed_in("sam")
    sam.post(SWAP, json={"swapped": True})
    change = {"turn": 0, "role": "agent"}  # displayed: technician
    made = sam.post(f"{API}/revisions", json={"base": 0, "changes": [change]})
    assert made.status_code == 201 and made.json()["changes"] == [change]
    assert [turn["role"] for turn in sam.get(API).json()["turns"]][:2] == ["agent", "agent"]
    assert sam.get("/api/v1/calls?q=desk").json()["calls"][0]["hits"][0]["role"] == "agent"
    sam.post(SWAP, json={"swapped": False})
    assert [turn["role"] for turn in sam.get(API).json()["turns"]][:2] == ["technician", "technician"]
    assert sam.get(f"{API}/revisions").json()["revisions"][0]["changes"][0]["role"] == "technician"


def test_waveform_and_difference_have_the_swapped_roles(signed_in: As) -> None:
    sam = signed_in("sam")
    before = sam.get(f"{API}/difference").json()["difference"]
    sam.post(SWAP, json={"swapped": True})
    after = sam.get(f"{API}/difference").json()["difference"]
    assert after and [Role(run["role"]).other for run in before] == [run["role"] for run in after]
    channels = sam.get(f"{API}/peaks").json()["channels"]
    assert [channel["role"] for channel in channels] == ["technician", "agent"]


def test_reasons_and_events_name_the_swapped_role(signed_in: As, place: Seed) -> None:
    sam = signed_in("sam")
    reason = {"code": "drift", "role": "agent", "detail": "the agent's live layer drifts 9 ppm"}
    record(place, DONE, EventKind.VERDICT, verdict="suspect", reasons=[reason])
    sam.post(SWAP, json={"swapped": True})
    with place.database.read() as conn:
        *_, verdict, swap = live_events.after(conn, DONE, 0, 1000)
    assert verdict.data["reasons"] == [
        {"code": "drift", "role": "technician", "detail": "the technician's live layer drifts 9 ppm"}
    ]
    assert (swap.kind, swap.data) == (EventKind.CALL, {"roles_swapped": True})


def test_only_supervisors_swap_roles(signed_in: As) -> None:
    maria, sam = signed_in("maria"), signed_in("sam")
    assert maria.post(SWAP, json={"swapped": True}).status_code == 403
    assert maria.post(f"{PAGE}/swap-roles", data={"swapped": "true"}).status_code == 403
    assert "swap-roles" not in maria.get(PAGE).text and "swap-roles" in sam.get(PAGE).text
    assert sam.post(f"{PAGE}/swap-roles", data={"swapped": "true"}).status_code == 303
    assert "Swapped by sam" in maria.get(PAGE).text


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [(LIVE, {"swapped": True}, 409), ("9" * 12, {"swapped": True}, 404), (DONE, {}, 422)],
)
def test_swap_that_is_refused(signed_in: As, path: str, body: dict[str, bool], status: int) -> None:
    assert signed_in("sam").post(f"/api/v1/calls/{path}/swap-roles", json=body).status_code == status


def test_token_with_write_scope_swaps_roles(stranger: TestClient, place: Seed) -> None:
    path, body = f"/api/v1/calls/{SUSPECT}/swap-roles", {"swapped": True}
    for scope, status in ((Scope.READ_CALLS, 403), (Scope.WRITE_CALLS, 200)):
        answer = stranger.post(path, json=body, headers=bearer(place, "sam", scope))
        assert answer.status_code == status
